/** Says which shard is to be recycled by itself, and when. `Recycler` asks it once in a second. */

/** Why a shard is recycled: the program asked for it, or the shard has been above a bound for too long. */
export type RecycleReason = "request" | "memory" | "eventLoop";

/** Memory and event-loop delay of one shard at one moment. */
export interface ShardLoad {
  readonly shard: number;
  /** Memory of its JavaScript objects and buffers, in bytes. */
  readonly memoryBytes: number;
  /** Mean delay of its event loop, in ms. */
  readonly eventLoopDelayMs: number;
}

export interface RecycleBounds {
  /** Bytes. Infinite: no bound. */
  readonly maxMemoryBytes: number;
  /** Milliseconds. Infinite: no bound. */
  readonly maxEventLoopDelayMs: number;
  /** Time for which a shard must be above a bound without a break, in ms. */
  readonly forMs: number;
  /** Least time between two recyclings of a shard, in ms. */
  readonly minIntervalMs: number;
}

/** Factor by which the interval grows at most, when recycling a shard doesn't help. */
const MAX_BACKOFF = 16;

interface ShardRecord {
  /** Time since when the shard has been above a bound, by the reason; undefined if it isn't. */
  readonly since: Map<RecycleReason, number>;
  recycledAt: number;
  /** Least time to the next recycling, in ms. Doubles with each one that didn't help for long. */
  intervalMs: number;
}

export class RecycleWatch {
  readonly #bounds: RecycleBounds;
  readonly #records = new Map<number, ShardRecord>();

  constructor(bounds: RecycleBounds) {
    this.#bounds = bounds;
  }

  /**
   * Returns the shard to recycle now; undefined if there is none. Call it regularly.
   *
   * @param now milliseconds of a monotonic clock
   * @param loads all shards that take connections
   */
  next(
    now: number,
    loads: readonly ShardLoad[],
  ): { readonly shard: number; readonly reason: RecycleReason } | undefined {
    const { maxMemoryBytes, maxEventLoopDelayMs, forMs } = this.#bounds;
    const late = loads.filter(({ eventLoopDelayMs }) => eventLoopDelayMs > maxEventLoopDelayMs);
    // If all are late, the machine has too much to do, and another thread wouldn't help.
    const allAreLate = loads.length > 1 && late.length === loads.length;
    let found: { readonly shard: number; readonly reason: RecycleReason } | undefined;
    for (const load of loads) {
      const { shard, memoryBytes } = load;
      const record = this.#recordOf(shard);
      const above = {
        memory: memoryBytes > maxMemoryBytes,
        eventLoop: !allAreLate && late.includes(load),
      };
      for (const reason of ["memory", "eventLoop"] as const) {
        if (!above[reason]) {
          record.since.delete(reason);
          continue;
        }
        const since = record.since.get(reason) ?? now;
        record.since.set(reason, since);
        const isDue = now - since >= forMs && now - record.recycledAt >= record.intervalMs;
        if (isDue) found ??= { shard, reason };
      }
    }
    return found;
  }

  /** A shard is recycled, or couldn't be: it has time to show whether that has helped. */
  recycled(shard: number, now: number): void {
    const { minIntervalMs } = this.#bounds;
    const record = this.#recordOf(shard);
    const soon = now - record.recycledAt < 2 * record.intervalMs;
    record.intervalMs = soon ? Math.min(2 * record.intervalMs, MAX_BACKOFF * minIntervalMs) : minIntervalMs;
    record.recycledAt = now;
    record.since.clear();
  }

  #recordOf(shard: number): ShardRecord {
    let record = this.#records.get(shard);
    if (record === undefined) {
      record = { since: new Map(), recycledAt: Number.NEGATIVE_INFINITY, intervalMs: this.#bounds.minIntervalMs };
      this.#records.set(shard, record);
    }
    return record;
  }
}
