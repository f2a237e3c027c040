/**
 * The circuit breaker of one endpoint: after several failures in a row, calls fail at once for a while, so that an
 * application that is down isn't called in vain, and clients don't wait for the timeout.
 *
 * Source: Nygard, "Release It!" (2007), pattern "Circuit Breaker".
 */

/** Number of failures in a row that open the circuit. */
export const MAX_FAILURES_IN_A_ROW = 10;

/** Time in ms during which no call is made. One trial call then decides. */
export const OPEN_MS = 3_000;

export type CircuitState = "closed" | "open" | "trial";

export class CircuitBreaker {
  readonly #now: () => number;
  #failures = 0;
  #state: CircuitState = "closed";
  #openUntil = 0;

  /** @param now gives the time in ms, of a monotonic clock */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get state(): CircuitState {
    return this.#state;
  }

  /** True if a call may be made now. The call's end has to be told by `succeeded` or `failed`. */
  allows(): boolean {
    if (this.#state === "closed") return true;
    if (this.#state === "trial" || this.#now() < this.#openUntil) return false;
    this.#state = "trial";
    return true;
  }

  /** The application answered. Returns true if the circuit was not closed before. */
  succeeded(): boolean {
    const wasClosed = this.#state === "closed";
    this.#failures = 0;
    this.#state = "closed";
    return !wasClosed;
  }

  /** A call failed. Returns true if this failure opened the circuit, the trial's included. */
  failed(): boolean {
    this.#failures++;
    // Calls that were under way when the circuit opened don't prolong it.
    if (this.#state === "open") return false;
    if (this.#state === "closed" && this.#failures < MAX_FAILURES_IN_A_ROW) return false;
    this.#state = "open";
    this.#openUntil = this.#now() + OPEN_MS;
    return true;
  }
}
