/**
 * The deadlines of one client, with one timer for all of them: its pings, its pongs, and what expires. The actor of the
 * client has one. Most clients have one or two deadlines, and there are many clients: an array takes less memory than a
 * map.
 */

/** The timers of an actor: `after` calls back once, as a handler, and returns a function that cancels. */
interface TimedActor {
  after(delayMs: number, callback: () => unknown): () => void;
}

interface Deadline {
  readonly name: string;
  readonly atMs: number;
  readonly callback: () => unknown;
}

/** Longest time of one timer, in ms. A later deadline gets another timer then. */
const MAX_TIMER_MS = 24 * 60 * 60 * 1_000;

const NONE: readonly Deadline[] = [];

export class Deadlines {
  readonly #actor: TimedActor;
  #deadlines = NONE;
  /** Time of the timer; infinite without one. */
  #timerAtMs = Number.POSITIVE_INFINITY;
  #cancelTimer: (() => void) | undefined;

  constructor(actor: TimedActor) {
    this.#actor = actor;
  }

  /** Sets the deadline of a name, in place of an earlier one. */
  set(name: string, delayMs: number, callback: () => unknown): void {
    const atMs = performance.now() + delayMs;
    this.#deadlines = [...this.#deadlines.filter((one) => one.name !== name), { name, atMs, callback }];
    if (atMs < this.#timerAtMs) this.#arm(atMs);
  }

  /** A timer that has nothing to do any more still runs: most deadlines are set again before. */
  delete(name: string): void {
    if (this.#deadlines.some((one) => one.name === name)) {
      this.#deadlines = this.#deadlines.filter((one) => one.name !== name);
    }
  }

  clear(): void {
    this.#deadlines = NONE;
    this.#cancelTimer?.();
    this.#disarm();
  }

  #arm(atMs: number): void {
    this.#cancelTimer?.();
    const delayMs = Math.min(Math.max(Math.ceil(atMs - performance.now()), 0), MAX_TIMER_MS);
    this.#timerAtMs = atMs;
    this.#cancelTimer = this.#actor.after(delayMs, () => this.#due());
  }

  #disarm(): void {
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    this.#cancelTimer = undefined;
  }

  async #due(): Promise<void> {
    this.#disarm();
    const now = performance.now();
    const due = this.#deadlines.filter(({ atMs }) => atMs <= now);
    this.#deadlines = this.#deadlines.filter(({ atMs }) => atMs > now);
    try {
      for (const { callback } of due) await callback();
    } finally {
      const next = Math.min(...this.#deadlines.map(({ atMs }) => atMs));
      if (next < this.#timerAtMs) this.#arm(next);
    }
  }
}
