/** The calls of one endpoint that may be under way at once, and the bounded line of those that wait for their turn. */

interface Waiting {
  readonly bytes: number;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (taken: boolean) => void;
}

export class CallSlots {
  readonly #maxUnderWay: number;
  readonly #maxWaiting: number;
  readonly #maxBytesWaiting: number;
  readonly #line = new Set<Waiting>();
  #bytesWaiting = 0;
  #underWay = 0;

  constructor(limits: { maxUnderWay: number; maxWaiting: number; maxBytesWaiting: number }) {
    this.#maxUnderWay = limits.maxUnderWay;
    this.#maxWaiting = limits.maxWaiting;
    this.#maxBytesWaiting = limits.maxBytesWaiting;
  }

  get underWay(): number {
    return this.#underWay;
  }

  get waiting(): number {
    return this.#line.size;
  }

  /**
   * Takes a slot, in the order of the calls. Gives false if the line is full, or if no slot was free in time. Each slot
   * that was taken has to be released.
   */
  take(bytes: number, timeoutMs: number): true | Promise<boolean> {
    if (this.#underWay < this.#maxUnderWay) {
      this.#underWay++;
      return true;
    }
    const full = this.#line.size >= this.#maxWaiting || this.#bytesWaiting + bytes > this.#maxBytesWaiting;
    if (full) return Promise.resolve(false);
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#leave(waiting, false), timeoutMs);
      const waiting: Waiting = { bytes, timer, resolve };
      this.#line.add(waiting);
      this.#bytesWaiting += bytes;
    });
  }

  /** Gives a slot back: to the call that waits longest, if there is one. */
  release(): void {
    const [next] = this.#line;
    if (next === undefined) this.#underWay--;
    else this.#leave(next, true);
  }

  /** Sends all calls in the line away. */
  clear(): void {
    for (const waiting of this.#line) this.#leave(waiting, false);
  }

  #leave(waiting: Waiting, taken: boolean): void {
    clearTimeout(waiting.timer);
    this.#line.delete(waiting);
    this.#bytesWaiting -= waiting.bytes;
    waiting.resolve(taken);
  }
}
