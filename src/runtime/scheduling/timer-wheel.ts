/** Something with one deadline at a time. The wheel owns `deadline`. */
export interface Timed {
  /** In ticks of the wheel; undefined when nothing is scheduled. */
  deadline: number | undefined;
  expired(): void;
}

const SLOTS = 512;

/**
 * Deadlines of many connections under one timer: a hashed timing wheel, O(1) to schedule and to cancel. Deadlines are kept to within
 * two ticks, never early.
 *
 * Its time is the thread's: while that is blocked the wheel stands still, for what a peer sent meanwhile hasn't been read, and its silence
 * isn't the peer's.
 *
 * Source: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987), scheme 6.
 */
export class TimerWheel {
  readonly tickMs: number;
  readonly #slots = Array.from({ length: SLOTS }, () => new Set<Timed>());
  readonly #timer: NodeJS.Timeout;
  #now = 0;
  #stopped = false;

  constructor(tickMs: number) {
    this.tickMs = tickMs;
    this.#timer = setInterval(() => setImmediate(this.#advance), tickMs);
  }

  /** Ticks since the start, as far as this thread was there to see them. */
  get now(): number {
    return this.#now;
  }

  /** Milliseconds since the start, as far as this thread was there to see them. */
  get nowMs(): number {
    return this.#now * this.tickMs;
  }

  schedule(timed: Timed, delayMs: number): void {
    this.cancel(timed);
    timed.deadline = this.#now + Math.max(1, Math.ceil(delayMs / this.tickMs)) + 1;
    this.#slot(timed.deadline).add(timed);
  }

  cancel(timed: Timed): void {
    if (timed.deadline === undefined) return;
    this.#slot(timed.deadline).delete(timed);
    timed.deadline = undefined;
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
  }

  #slot(tick: number): Set<Timed> {
    return this.#slots[tick % SLOTS] as Set<Timed>;
  }

  /** Runs after sockets were read, not with the timers before: what arrived in time counts. */
  readonly #advance = (): void => {
    if (this.#stopped) return;
    const slot = this.#slot(++this.#now);
    for (const timed of slot) {
      if ((timed.deadline as number) > this.#now) continue;
      slot.delete(timed);
      timed.deadline = undefined;
      timed.expired();
    }
  };
}
