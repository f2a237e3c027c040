/** A shard that dies so often */
const MAX_DEATHS = 5;
/** within this time is not started again. */
const WINDOW_MS = 60_000;
const FIRST_DELAY_MS = 100;
/** Long enough in all (8.5 s) that a short outage of what the actor module needs at its start isn't taken for a failure. */
const GROWTH = 4;

/** When a shard that died is started again: soon after its first death, ever later when it goes on dying, and at last not at all. */
export class Restarts {
  /** Times of the deaths within the last minute. */
  #deaths: number[] = [];

  /** Whether it has died lately. */
  get died(): boolean {
    return this.#deaths.length > 0;
  }

  /** Whether it is not started again. */
  get failed(): boolean {
    return this.#deaths.length >= MAX_DEATHS;
  }

  /**
   * Counts one death.
   *
   * @param now in ms, on any clock that doesn't go back
   * @returns after how many ms to start it again; undefined: not any more
   */
  countDeath(now: number): number | undefined {
    this.#deaths = [...this.#deaths.filter((at) => now - at < WINDOW_MS), now];
    return this.failed ? undefined : FIRST_DELAY_MS * GROWTH ** (this.#deaths.length - 1);
  }
}
