/** Delays the start of a shard that died. `ShardSlot` has one, and so has `EngineThread`. */

/** Number of deaths within `WINDOW_MS` after which a shard is not started again. */
const MAX_DEATHS = 5;
/** Milliseconds for which a death counts. */
const WINDOW_MS = 60_000;
/** Milliseconds between the first death and the next start. */
const FIRST_DELAY_MS = 100;
/**
 * Growth of the delay. All delays together (8.5 s) are long enough that a short outage of what the actor module needs
 * isn't taken for a failure.
 */
const GROWTH = 4;

/**
 * Says when a shard that died is started again: soon after its first death, later after each further death, and no more
 * after `MAX_DEATHS`.
 */
export class Restarts {
  /** Times of the deaths within the last minute. */
  #deaths: number[] = [];

  /** True if the shard has died lately. */
  get died(): boolean {
    return this.#deaths.length > 0;
  }

  /** True if the shard is not started again. */
  get failed(): boolean {
    return this.#deaths.length >= MAX_DEATHS;
  }

  /**
   * Counts one death.
   *
   * @param now milliseconds of a monotonic clock
   * @returns milliseconds until the next start; undefined for no start
   */
  countDeath(now: number): number | undefined {
    this.#deaths = [...this.#deaths.filter((at) => now - at < WINDOW_MS), now];
    return this.failed ? undefined : FIRST_DELAY_MS * GROWTH ** (this.#deaths.length - 1);
  }
}
