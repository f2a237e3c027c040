/** What a board gives to the process that takes over from it, and how it takes everything back. `BoardTakeover` has one. */
import { setTimeout as delay } from "node:timers/promises";
import type { PassedPublish, Topics } from "../../../runtime/feeds/topics.ts";
import type { QueryAnswers, TakeoverQuery } from "../../shard/queries.ts";
import type { MovingConnection, MovingListener } from "../../takeover/messages.ts";
import type { TakeoverSource } from "../../takeover/predecessor.ts";
import type { UpgradeIntake } from "../listen/upgrade-intake.ts";
import type { ShardHandle } from "../pool/shard-handle.ts";
import type { ShardPool } from "../pool/shard-pool.ts";
import { HANDSHAKES_MS, NO_TIMEOUT_MS, SUSPEND_LIMIT_MS } from "./limits.ts";

/** The parts of a board that a takeover concerns. */
export interface TakeoverParts {
  readonly pool: ShardPool;
  readonly intake: UpgradeIntake;
  readonly topics: Topics;
}

const POLL_MS = 5;

export class BoardSource implements TakeoverSource {
  readonly #parts: TakeoverParts;
  /** Shards that gave up connections, by descriptor. */
  readonly #origins = new Map<number, ShardHandle>();
  /** Shards that have connections to give; undefined before all are suspended. */
  #shards: ShardHandle[] | undefined;
  /** Time at which the first connection was suspended. */
  #suspendedAt = 0;

  constructor(parts: TakeoverParts) {
    this.#parts = parts;
  }

  get moves(): TakeoverSource["moves"] {
    return this.#parts.pool.moves();
  }

  get shards(): number {
    return this.#parts.pool.shards;
  }

  get connections(): number {
    return this.#parts.pool.connections;
  }

  /** Time in ms since the first connection was suspended. */
  get pauseMs(): number {
    return this.#suspendedAt === 0 ? 0 : performance.now() - this.#suspendedAt;
  }

  async listeners(): Promise<readonly MovingListener[]> {
    return this.#parts.intake.sockets.listeners();
  }

  async stopAccepting(): Promise<void> {
    const { pool, intake } = this.#parts;
    intake.sockets.pause();
    await this.#askAll({ kind: "stopAccepting" });
    const deadline = performance.now() + HANDSHAKES_MS;
    const isBusy = (): boolean => intake.underWay > 0 || pool.handles.some(({ underWay }) => underWay > 0);
    do await delay(POLL_MS);
    while (isBusy() && performance.now() < deadline);
  }

  async suspend(count: number): Promise<readonly MovingConnection[]> {
    this.#shards ??= await this.#suspendAll();
    const shards = this.#shards;
    for (let shard = shards.shift(); shard !== undefined; shard = shards.shift()) {
      const passed = await shard.query({ kind: "passOut", count } as const, NO_TIMEOUT_MS);
      if (passed === undefined || passed.length === 0) continue;
      // The shards take turns, so that they work at the same time as the other process.
      shards.push(shard);
      for (const { descriptor } of passed) this.#origins.set(descriptor, shard);
      return passed;
    }
    return [];
  }

  /**
   * Suspends everybody, and waits for all publishes and mail under way. From here on publishes are kept: their subscribers
   * are in neither of the two processes.
   */
  async #suspendAll(): Promise<ShardHandle[]> {
    const { pool, topics } = this.#parts;
    this.#suspendedAt = performance.now();
    // Those that were on their way to another shard are in the second round.
    for (let round = 0; round < 2; round++) {
      await this.#askAll({ kind: "suspendAll", limitMs: SUSPEND_LIMIT_MS });
      await pool.allArrived();
    }
    topics.hold();
    await this.#askAll({ kind: "holdPublishes" });
    // Mail may go by way of a third thread.
    for (let round = 0; round < 2; round++) {
      await Promise.all([topics.bus.settled(), this.#askAll({ kind: "settle" })]);
    }
    return [...pool.handles];
  }

  async resume(connections: readonly MovingConnection[]): Promise<void> {
    const byShard = Map.groupBy(connections, ({ descriptor }) => this.#origins.get(descriptor));
    this.#origins.clear();
    const all = Array.from(byShard, async ([shard, returned]) => {
      await shard?.query({ kind: "passIn", connections: returned, isReturn: true } as const, NO_TIMEOUT_MS);
      await shard?.query({ kind: "startPassed" } as const, NO_TIMEOUT_MS);
    });
    await Promise.all(all);
  }

  async acceptAgain(): Promise<void> {
    this.#shards = undefined;
    this.#suspendedAt = 0;
    this.#origins.clear();
    await this.#askAll({ kind: "resumeAll" });
    await this.releasePublishes();
    await this.#parts.intake.sockets.goOn();
  }

  /**
   * Makes the publishes that were kept.
   *
   * @param forward gets the publishes of this thread, and all later ones, for the other process. Those of the shards come by
   * their reports.
   */
  async releasePublishes(forward?: (publish: PassedPublish) => void): Promise<void> {
    this.#parts.topics.release(forward);
    await this.#askAll({ kind: "releasePublishes", forwards: forward !== undefined });
  }

  #askAll<Query extends TakeoverQuery>(query: Query): Promise<(QueryAnswers[Query["kind"]] | undefined)[]> {
    return Promise.all(this.#parts.pool.handles.map((shard) => shard.query(query, NO_TIMEOUT_MS)));
  }
}
