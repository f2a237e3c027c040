/** Evens out the connections of the shards: on request, and a few in each second. `Switchboard` has one. */
import type { ShardHandle } from "../pool/shard-handle.ts";
import type { ShardPool } from "../pool/shard-pool.ts";
import { MOVE_LIMIT_MS, NO_TIMEOUT_MS } from "./limits.ts";

/** Difference between two shards, in connections, that is left as it is. */
const MIN_DIFFERENCE = 16;
/** The same as a part of what the fullest shard has: one in this many. */
const DIFFERENCE_PART = 10;
const INTERVAL_MS = 1_000;
/** Passes that are skipped after one that moved nothing, because nothing could move. */
const SKIPPED_PASSES = 30;

export interface RebalanceResult {
  readonly moved: number;
  /** Time that it took, in ms. */
  readonly ms: number;
}

export interface RebalancePlan {
  /** Places of the fullest and of the emptiest shard. */
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

/**
 * Returns what to move next; undefined if the shards are even enough. At most half of a difference moves, so that no
 * connection ever has a reason to move back.
 *
 * @param loads connections of each shard
 */
export function planRebalance(loads: readonly number[]): RebalancePlan | undefined {
  if (loads.length < 2) return undefined;
  const from = loads.indexOf(Math.max(...loads));
  const to = loads.indexOf(Math.min(...loads));
  const most = loads[from] ?? 0;
  const difference = most - (loads[to] ?? 0);
  if (difference < Math.max(MIN_DIFFERENCE, most / DIFFERENCE_PART)) return undefined;
  return { from, to, count: Math.floor(difference / 2) };
}

export class Rebalancer {
  readonly #pool: () => ShardPool;
  readonly #perSecond: number;
  readonly #timer: NodeJS.Timeout | undefined;
  #isBusy = false;
  #skipped = 0;
  /** True if there was something to move at the last look. */
  #isUneven = false;

  /** @param perSecond connections that move in a second at most; 0: none move by themselves */
  constructor(pool: () => ShardPool, perSecond: number) {
    this.#pool = pool;
    this.#perSecond = perSecond;
    if (perSecond === 0) return;
    this.#timer = setInterval(() => void this.#pass(), INTERVAL_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Moves connections until the shards are even enough, or nothing can move. */
  async rebalance(): Promise<RebalanceResult> {
    const startedAt = performance.now();
    let moved = 0;
    for (;;) {
      const now = await this.#move(Number.POSITIVE_INFINITY);
      moved += now;
      if (now === 0) return { moved, ms: performance.now() - startedAt };
    }
  }

  async #pass(): Promise<void> {
    const pool = this.#pool();
    if (this.#isBusy || pool.moveGate.isBusy || this.#skipped-- > 0) return;
    this.#isBusy = true;
    this.#skipped = 0;
    const moved = await pool.moveGate.run(() => this.#move(this.#perSecond));
    if (moved === 0 && this.#isUneven) this.#skipped = SKIPPED_PASSES;
    this.#isBusy = false;
  }

  /** Returns the number of connections that moved. */
  async #move(most: number): Promise<number> {
    const pool = this.#pool();
    if (pool.moveGate.isPaused) return 0;
    const shards = pool.handles.filter(({ takesConnections }) => takesConnections);
    const plan = planRebalance(shards.map(({ connections }) => connections));
    this.#isUneven = plan !== undefined;
    if (plan === undefined) return 0;
    const [from, to] = [shards[plan.from], shards[plan.to]] as [ShardHandle, ShardHandle];
    const count = Math.min(plan.count, most);
    const query = { kind: "move", to: [to.life], addresses: undefined, count, limitMs: MOVE_LIMIT_MS } as const;
    const { moved } = (await from.query(query, NO_TIMEOUT_MS)) ?? { moved: 0 };
    await pool.allArrived();
    return moved;
  }
}
