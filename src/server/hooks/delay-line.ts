/** Keys that all wait for the same time, under one timer. `Occupancy` lets channels wait in it. */
export class DelayLine {
  readonly #delayMs: number;
  readonly #due: (key: string) => void;
  /** The time at which each key is due, the next one first. */
  readonly #dueAt = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  /** @param due is called with each key when its time has come */
  constructor(delayMs: number, due: (key: string) => void) {
    this.#delayMs = delayMs;
    this.#due = due;
  }

  get size(): number {
    return this.#dueAt.size;
  }

  /** Lets a key wait. One that waits already keeps its time. */
  add(key: string): void {
    if (this.#dueAt.has(key)) return;
    this.#dueAt.set(key, performance.now() + this.#delayMs);
    this.#timer ??= setTimeout(this.#run, this.#delayMs);
  }

  /** Takes a key out. Returns false if it didn't wait. */
  delete(key: string): boolean {
    return this.#dueAt.delete(key);
  }

  /** Ends the wait of the key that is due next. */
  expireFirst(): void {
    const [key] = this.#dueAt.keys();
    if (key === undefined) return;
    this.#dueAt.delete(key);
    this.#due(key);
  }

  /** Takes all keys out, and ends the timer. */
  takeAll(): string[] {
    const keys = [...this.#dueAt.keys()];
    this.#dueAt.clear();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return keys;
  }

  /** Ends the wait of all keys, and the timer. */
  expireAll(): void {
    while (this.#dueAt.size > 0) this.expireFirst();
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  readonly #run = (): void => {
    this.#timer = undefined;
    const now = performance.now();
    for (const [key, dueAt] of this.#dueAt) {
      if (dueAt > now) {
        this.#timer ??= setTimeout(this.#run, Math.ceil(dueAt - now));
        return;
      }
      this.#dueAt.delete(key);
      this.#due(key);
    }
  };
}
