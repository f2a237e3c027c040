const BYTES = 8;

/** What all threads of a fan-out know of the publishes in flight: how many deliveries are to come, and when each was sent. */
export class SharedPublishes {
  readonly memory: SharedArrayBuffer;
  readonly #window: number;
  readonly #remaining: Int32Array;
  readonly #times: Float64Array;

  /** @param window publishes in flight for each publisher: a power of two */
  static create(publishers: number, window: number): SharedPublishes {
    return new SharedPublishes(new SharedArrayBuffer(publishers * window * 2 * BYTES), window);
  }

  constructor(memory: SharedArrayBuffer, window: number) {
    this.memory = memory;
    this.#window = window;
    const slots = memory.byteLength / (2 * BYTES);
    this.#times = new Float64Array(memory, 0, slots);
    this.#remaining = new Int32Array(memory, slots * BYTES, slots);
  }

  isFree(publisher: number, publish: number): boolean {
    return Atomics.load(this.#remaining, this.#slot(publisher, publish)) === 0;
  }

  begin(publisher: number, publish: number, deliveries: number, time: number): void {
    const slot = this.#slot(publisher, publish);
    this.#times[slot] = time;
    Atomics.store(this.#remaining, slot, deliveries);
  }

  /** When it was sent, in µs. */
  time(publisher: number, publish: number): number {
    return this.#times[this.#slot(publisher, publish)] as number;
  }

  /** One delivery is done; true when it was the last. */
  deliver(publisher: number, publish: number): boolean {
    const slot = this.#slot(publisher, publish);
    const before = Atomics.sub(this.#remaining, slot, 1);
    if (before > 0) return before === 1;
    // A delivery too many. The slot may be in use again by the time it is found, which the receiver's count of order reports.
    Atomics.add(this.#remaining, slot, 1);
    return false;
  }

  /** Deliveries of one publisher that are to come. */
  outstanding(publisher: number): number {
    let sum = 0;
    for (let publish = 0; publish < this.#window; publish++) {
      sum += Atomics.load(this.#remaining, this.#slot(publisher, publish));
    }
    return sum;
  }

  #slot(publisher: number, publish: number): number {
    return publisher * this.#window + (publish & (this.#window - 1));
  }
}
