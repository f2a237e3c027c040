/** The shared memory of a fan-out, in which all threads count deliveries. */

const BYTES = 8;

/**
 * The publishes in flight, in memory that all threads share: for each its send time and the deliveries still to come.
 */
export class SharedPublishes {
  readonly memory: SharedArrayBuffer;
  readonly #window: number;
  readonly #remaining: Int32Array;
  readonly #times: Float64Array;

  /** @param window largest number of publishes in flight per publisher: a power of two */
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

  /** True when no publish in flight uses the slot of this one. */
  isFree(publisher: number, publish: number): boolean {
    return Atomics.load(this.#remaining, this.#slot(publisher, publish)) === 0;
  }

  /** Records a publish that is being sent. `time` is in µs. */
  begin(publisher: number, publish: number, deliveries: number, time: number): void {
    const slot = this.#slot(publisher, publish);
    this.#times[slot] = time;
    Atomics.store(this.#remaining, slot, deliveries);
  }

  /** Returns the send time of a publish, in µs. */
  time(publisher: number, publish: number): number {
    return this.#times[this.#slot(publisher, publish)] as number;
  }

  /** Counts one delivery. Returns true when it was the last of its publish. */
  deliver(publisher: number, publish: number): boolean {
    const slot = this.#slot(publisher, publish);
    const before = Atomics.sub(this.#remaining, slot, 1);
    if (before > 0) return before === 1;
    // This delivery is one too many. If the slot is already in use again, it isn't noticed here: the receiver's check
    // of the order reports it.
    Atomics.add(this.#remaining, slot, 1);
    return false;
  }

  /** Number of deliveries of one publisher that are still to come. */
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
