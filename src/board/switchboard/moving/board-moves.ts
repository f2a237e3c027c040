/**
 * All that moves connections between the shards of a board: on request, and by the options `rebalance` and `recycle`.
 * `Switchboard` has one `BoardMoves`. It documents the calls, and what they reject with.
 */
import { SwitchboardError } from "../../../errors.ts";
import type { Address } from "../../../runtime/actor/address.ts";
import type { BoardLife } from "../board-life.ts";
import { checkRecycleOptions, type RecycleOptions } from "../options/recycle-options.ts";
import { checkReloadOptions, type ReloadOptions } from "../options/reload-options.ts";
import type { Settings } from "../options/start-options.ts";
import type { ShardPool } from "../pool/shard-pool.ts";
import { checkShard, type EvacuationResult, evacuate, type MoveResult, moveConnection } from "./moving.ts";
import { type RebalanceResult, Rebalancer } from "./rebalance.ts";
import { type RecycledShard, type RecycleFailure, Recycler } from "./recycler.ts";
import type { RenewalResult } from "./renewals.ts";

export interface BoardMovesOwner {
  readonly life: BoardLife;
  readonly pool: ShardPool;
  /** True if an address leads to another node. */
  isElsewhere(address: Address): boolean;
  /** A shard runs in a new thread. */
  recycled(result: RecycledShard): void;
  /** A shard was to be recycled by itself, and goes on in its thread. */
  recycleFailed(failure: RecycleFailure): void;
}

export class BoardMoves {
  readonly #owner: BoardMovesOwner;
  readonly #pool: ShardPool;
  readonly #rebalancer: Rebalancer;
  readonly #recycler: Recycler;

  constructor(owner: BoardMovesOwner, settings: Settings) {
    this.#owner = owner;
    this.#pool = owner.pool;
    const pool = (): ShardPool => owner.pool;
    this.#rebalancer = new Rebalancer(pool, settings.rebalance);
    const { recycled, recycleFailed: failed } = owner;
    this.#recycler = new Recycler({ pool, recycled, failed }, settings.recycle);
  }

  async move(address: Address, shard: number): Promise<MoveResult> {
    this.#check();
    if (!this.#owner.isElsewhere(address)) {
      return this.#pool.moveGate.run(() => moveConnection(this.#pool, address, shard));
    }
    throw new SwitchboardError("ERR_ADDRESS", "only connections of this node can be moved");
  }

  async evacuate(shard: number): Promise<EvacuationResult> {
    this.#check();
    return this.#pool.moveGate.run(() => evacuate(this.#pool, shard));
  }

  async rebalance(): Promise<RebalanceResult> {
    this.#check();
    return this.#pool.moveGate.run(() => this.#rebalancer.rebalance());
  }

  async recycle(shard: number, options: RecycleOptions): Promise<RenewalResult> {
    this.#check();
    const settings = checkRecycleOptions(options);
    checkShard("recycle", this.#pool, shard);
    return this.#recycler.recycle(shard, settings);
  }

  async reload(options: ReloadOptions): Promise<RenewalResult> {
    this.#check();
    const { actors, renewal } = checkReloadOptions(options, this.#pool.actors);
    return this.#pool.reload(actors, renewal);
  }

  /** Moves nothing by itself any more. */
  stop(): void {
    this.#rebalancer.stop();
    this.#recycler.stop();
  }

  /** Throws `ERR_CLOSED` once the board closes, and `ERR_MOVE_FAILED` while another process takes over. */
  #check(): void {
    this.#owner.life.checkOpen();
    this.#pool.moveGate.check();
  }
}
