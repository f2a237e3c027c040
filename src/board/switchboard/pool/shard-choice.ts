/** The shard for a new connection, among those that take connections now. `ShardPool` has one `ShardChoice`. */
import type { Settings } from "../options/start-options.ts";
import { createPlacement, eligible, type Place, type Placed } from "./placement.ts";
import type { ShardHandle } from "./shard-handle.ts";

/** The shards of a board, each with its current thread. */
type Shards = readonly { readonly current: ShardHandle }[];

export class ShardChoice {
  readonly #shards: Shards;
  readonly #maxConnections: number;
  readonly #maxEventLoopDelayMs: number;
  readonly #choose: Place<ShardHandle>;
  /** Shards that are being evacuated. */
  readonly #passedOver = new Set<ShardHandle>();

  constructor(shards: Shards, { limits, maxEventLoopDelayMs, placement }: Settings) {
    this.#shards = shards;
    this.#maxConnections = limits.maxConnectionsPerShard ?? Number.POSITIVE_INFINITY;
    this.#maxEventLoopDelayMs = maxEventLoopDelayMs;
    this.#choose = createPlacement(placement);
  }

  /** Returns the shard for a new connection; undefined if none takes any. Throws the error of the placement. */
  place(placed?: Placed): ShardHandle | undefined {
    const taking = this.#taking();
    const wanted = this.#passedOver.size === 0 ? taking : taking.filter((shard) => !this.#passedOver.has(shard));
    const ready = wanted.length > 0 ? wanted : taking;
    return this.#choose(eligible(ready, this.#maxConnections, this.#maxEventLoopDelayMs), placed);
  }

  /** Returns the shard for a raw socket. If all shards are closing, one of them answers it. */
  placeRawSocket(): ShardHandle | undefined {
    if (this.#shards.some(({ current }) => current.isReady)) return this.place();
    const answering = this.#shards.map(({ current }) => current).filter(({ takesRawSockets }) => takesRawSockets);
    return this.#choose(answering, undefined);
  }

  /** Number of connections that shards may still take; infinite without a limit. */
  get room(): number {
    return this.#taking().reduce((sum, { connections }) => sum + Math.max(0, this.#maxConnections - connections), 0);
  }

  /** Gives no new connections to a shard, unless it is the only one. Returns a function that ends that. */
  passOver(shard: ShardHandle): () => void {
    this.#passedOver.add(shard);
    return () => this.#passedOver.delete(shard);
  }

  #taking(): ShardHandle[] {
    const taking: ShardHandle[] = [];
    for (const { current } of this.#shards) if (current.takesConnections) taking.push(current);
    return taking;
  }
}
