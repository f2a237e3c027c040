/**
 * The deadlines of one client, with one timer for all of them: its pings, its pongs, and what expires. The actor of the
 * client has one.
 */

/** `after` of an actor: calls back once, as a handler. Returns a function that cancels. */
type After = (delayMs: number, callback: () => unknown) => () => void;

/** Longest time of one timer, in ms. A later deadline gets another timer then. */
const MAX_TIMER_MS = 24 * 60 * 60 * 1_000;

export class Deadlines {
  readonly #after: After;
  readonly #deadlines = new Map<string, { readonly atMs: number; readonly callback: () => unknown }>();
  #timer: { readonly atMs: number; readonly cancel: () => void } | undefined;

  constructor(after: After) {
    this.#after = after;
  }

  /** Sets the deadline of a name, in place of an earlier one. */
  set(name: string, delayMs: number, callback: () => unknown): void {
    const atMs = performance.now() + delayMs;
    this.#deadlines.set(name, { atMs, callback });
    if (this.#timer === undefined || atMs < this.#timer.atMs) this.#arm(atMs);
  }

  /** A timer that has nothing to do any more still runs: most deadlines are set again before. */
  delete(name: string): void {
    this.#deadlines.delete(name);
  }

  clear(): void {
    this.#deadlines.clear();
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(atMs: number): void {
    this.#timer?.cancel();
    const delayMs = Math.min(Math.max(Math.ceil(atMs - performance.now()), 0), MAX_TIMER_MS);
    this.#timer = { atMs, cancel: this.#after(delayMs, () => this.#due()) };
  }

  async #due(): Promise<void> {
    this.#timer = undefined;
    const now = performance.now();
    const due = [...this.#deadlines].filter(([, { atMs }]) => atMs <= now);
    for (const [name] of due) this.#deadlines.delete(name);
    try {
      for (const [, { callback }] of due) await callback();
    } finally {
      const next = Math.min(...[...this.#deadlines.values()].map(({ atMs }) => atMs));
      if (next < ((this.#timer as { atMs: number } | undefined) ?? { atMs: Number.POSITIVE_INFINITY }).atMs)
        this.#arm(next);
    }
  }
}
