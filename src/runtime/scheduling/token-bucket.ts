/** Tokens that come at a steady rate, up to one second's worth. All times are in milliseconds, from whatever clock only goes forward. */
export class TokenBucket {
  readonly #perSecond: number;
  #tokens: number;
  #at: number;

  /** The bucket is full. */
  constructor(perSecond: number, now: number) {
    this.#perSecond = perSecond;
    this.#tokens = perSecond;
    this.#at = now;
  }

  /** For what has happened already: more than there are can be taken, and are then owed. */
  take(amount: number, now: number): void {
    this.#gain(now);
    this.#tokens -= amount;
  }

  /** For what may happen or not: takes one if there is one. */
  tryTake(now: number): boolean {
    this.#gain(now);
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /** Milliseconds until nothing is owed any more, counted from the last `take`; 0 when nothing is. */
  get owedMs(): number {
    return this.#tokens < 0 ? (-this.#tokens * 1000) / this.#perSecond : 0;
  }

  #gain(now: number): void {
    const gained = ((now - this.#at) / 1_000) * this.#perSecond;
    this.#tokens = Math.min(this.#perSecond, this.#tokens + gained);
    this.#at = now;
  }
}
