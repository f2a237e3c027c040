/** Messages at a constant rate, in an open loop: each has its point in time, whatever became of those before it. Times are in µs. */
export class Schedule {
  readonly #interval: number;
  #start = 0;
  #next = 0;

  constructor(perSecond: number) {
    this.#interval = 1e6 / perSecond;
  }

  begin(time: number): void {
    this.#start = time;
    this.#next = 0;
  }

  /** When the next message is due. */
  get next(): number {
    return this.#start + this.#next * this.#interval;
  }

  advance(): void {
    this.#next++;
  }
}
