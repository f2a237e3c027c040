/** Reports of one kind that a shard makes in a second. */
const PER_SECOND = 100;

/**
 * Keeps what happens to many connections at once from becoming as many messages to the main thread: the first hundred of a second
 * are reported, the rest is only counted.
 */
export class ReportLimit {
  readonly #perSecond: number;
  readonly #now: () => number;
  #since: number;
  #reported = 0;

  /** @param now the time in milliseconds, from wherever */
  constructor(perSecond = PER_SECOND, now: () => number = () => performance.now()) {
    this.#perSecond = perSecond;
    this.#now = now;
    this.#since = now();
  }

  /** Whether one more may be reported now; if so it counts as reported. */
  allows(): boolean {
    const now = this.#now();
    if (now - this.#since >= 1000) {
      this.#since = now;
      this.#reported = 0;
    }
    if (this.#reported >= this.#perSecond) return false;
    this.#reported++;
    return true;
  }
}
