import { now } from "../clock.ts";
import type { Tally } from "../tally.ts";

const TICK_MS = 1;

/** Messages at a constant rate, in an open loop: each has its point in time, whatever became of those before it. */
export class Pace {
  readonly #intervalMicros: number;
  readonly #tally: Tally;
  readonly #due: (time: number) => void;
  readonly #flush: () => void;
  #next = 0;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param due told of each message, with the time in µs at which it should leave
   * @param flush told after all that are due
   */
  constructor(perSecond: number, tally: Tally, due: (time: number) => void, flush: () => void) {
    this.#intervalMicros = 1e6 / perSecond;
    this.#tally = tally;
    this.#due = due;
    this.#flush = flush;
  }

  start(): void {
    const begun = now();
    let issued = 0;
    const tick = (): void => {
      const time = now();
      for (; this.#next <= time; this.#next = begun + ++issued * this.#intervalMicros) {
        this.#tally.slip.record(time - this.#next);
        this.#due(this.#next);
      }
      this.#flush();
      this.#timer = setTimeout(tick, TICK_MS);
    };
    this.#next = begun;
    tick();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
