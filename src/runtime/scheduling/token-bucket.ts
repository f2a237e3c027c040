/**
 * A token bucket for rate limits: of what one peer sends, and of upgrades per second.
 *
 * Tokens come at a steady rate, up to one second's worth. All times are in milliseconds of one monotonic clock, which
 * the caller chooses.
 */
export class TokenBucket {
  readonly #perSecond: number;
  #tokens: number;
  #at: number;

  /** Starts with a full bucket. */
  constructor(perSecond: number, now: number) {
    this.#perSecond = perSecond;
    this.#tokens = perSecond;
    this.#at = now;
  }

  /** Returns the number of tokens now, for `load`. */
  save(now: number): number {
    this.#gain(now);
    return this.#tokens;
  }

  /** Goes on with the tokens of another bucket. */
  load(tokens: number, now: number): void {
    this.#tokens = Math.min(this.#perSecond, tokens);
    this.#at = now;
  }

  /** Takes tokens for something that has already happened. The bucket may then owe tokens. */
  take(amount: number, now: number): void {
    this.#gain(now);
    this.#tokens -= amount;
  }

  /** Takes one token if there is one. */
  tryTake(now: number): boolean {
    this.#gain(now);
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /** Milliseconds until the bucket owes nothing, counted from the last `take`. 0 when it owes nothing. */
  get owedMs(): number {
    return this.#tokens < 0 ? (-this.#tokens * 1000) / this.#perSecond : 0;
  }

  #gain(now: number): void {
    const gained = ((now - this.#at) / 1_000) * this.#perSecond;
    this.#tokens = Math.min(this.#perSecond, this.#tokens + gained);
    this.#at = now;
  }
}
