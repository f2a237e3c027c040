/**
 * A limit on reports to the main thread. Shards use one for each kind of event.
 */

/** Default number of reports of one kind in a second. */
const PER_SECOND = 100;

/**
 * Lets the first hundred reports of a second through. The rest is only counted, so that a mass event is no mass of
 * messages.
 */
export class ReportLimit {
  readonly #perSecond: number;
  readonly #now: () => number;
  #since: number;
  #reported = 0;

  /** @param now gives the time in milliseconds */
  constructor(perSecond = PER_SECOND, now: () => number = () => performance.now()) {
    this.#perSecond = perSecond;
    this.#now = now;
    this.#since = now();
  }

  /** True when one more report may be made now. That report then counts. */
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
