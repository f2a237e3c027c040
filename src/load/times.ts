/** A queue of points in time that grows with what is in it. Positions count up from 0 and never start again. */
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

  /** The oldest, which leaves the queue. To be called only when there is one. */
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
