/** A queue of times in a ring buffer, for the send times of messages in flight. The buffer grows when it is full. */
export class Times {
  #ring: Float64Array;
  #first = 0;
  #end = 0;

  constructor(capacity = 1) {
    this.#ring = new Float64Array(2 ** Math.ceil(Math.log2(Math.max(1, capacity))));
  }

  get length(): number {
    return this.#end - this.#first;
  }

  push(time: number): void {
    if (this.length === this.#ring.length) this.#grow();
    this.#ring[this.#end++ & (this.#ring.length - 1)] = time;
  }

  /** Removes and returns the oldest time. Call it only when the queue isn't empty. */
  shift(): number {
    return this.#ring[this.#first++ & (this.#ring.length - 1)] as number;
  }

  clear(): void {
    this.#first = this.#end;
  }

  #grow(): void {
    const larger = new Float64Array(this.#ring.length * 2);
    for (let at = this.#first; at < this.#end; at++) {
      larger[at & (larger.length - 1)] = this.#ring[at & (this.#ring.length - 1)] as number;
    }
    this.#ring = larger;
  }
}
