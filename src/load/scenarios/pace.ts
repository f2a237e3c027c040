/** The clock of an open loop: decides when each message is due. Echo and fan-out use it. */
import { now } from "../clock.ts";
import type { Tally } from "../tally.ts";

const TICK_MS = 1;

/** Makes messages due at a constant rate, whatever became of earlier messages. */
export class Pace {
  readonly #intervalMicros: number;
  readonly #tally: Tally;
  readonly #due: (time: number) => void;
  readonly #flush: () => void;
  #next = 0;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param due called for each message, with the time in µs at which the message should leave
   * @param flush called after all messages of a tick
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
