/** How much one actor may handle before everybody else has had a turn. */
export const TURN_BUDGET = 256;

/** How long all that takes turns here may keep one turn of the event loop, together. What is done by then may end a little later. */
export const TURN_MS = 4;

export interface TurnTaker {
  /** Does a part of what is left to do, until `Turns.over` or a bound of its own. */
  takeTurn(): void;
}

/**
 * The turns of a thread: whoever has more to do than is done at once is called, first come, first served, between the reads of the event
 * loop, for as long as a turn's time lasts; the others are the first of the next turn. So neither one that is busy nor a crowd of them
 * keeps the loop waiting, and what needs no turn, because it is little, overtakes them all.
 *
 * By time, and not by messages or bytes, because what these cost differs a thousandfold: by how they are compressed, by how many subscribe
 * to what a handler publishes, by the handler itself.
 */
export class Turns {
  readonly #clock: () => number;
  #waiting: TurnTaker[] = [];
  #scheduled = false;
  /** When this turn's time is over; undefined until it is asked for. */
  #endsAt: number | undefined;
  /** Number of the current turn. */
  now = 0;

  /** @param clock in ms */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  /** Says that something is done in this turn; its number. */
  enter(): number {
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(this.#next);
    }
    return this.now;
  }

  /** Calls `takeTurn` once, in the next turn that has time for it. */
  add(taker: TurnTaker): void {
    this.#waiting.push(taker);
    this.enter();
  }

  /** Whether what has still much to do must wait for its turn: this one's time, which runs from the first question, is over, or others wait. */
  get over(): boolean {
    if (this.#endsAt === undefined) {
      this.enter();
      this.#endsAt = this.#waiting.length > 0 ? 0 : this.#clock() + TURN_MS;
      return this.#endsAt === 0;
    }
    return this.#endsAt === 0 || this.#clock() >= this.#endsAt;
  }

  /** The contrary of `over`, for who needs a function. */
  readonly hasTime = (): boolean => !this.over;

  readonly #next = (): void => {
    this.#scheduled = false;
    this.now++;
    const takers = this.#waiting;
    this.#waiting = [];
    this.#endsAt = this.#clock() + TURN_MS;
    let taken = 0;
    try {
      while (taken < takers.length) {
        takers[taken++]?.takeTurn();
        if (this.over) break;
      }
    } finally {
      this.#endsAt = undefined;
      if (taken < takers.length) {
        this.#waiting = [...takers.slice(taken), ...this.#waiting];
        this.enter();
      }
    }
  };
}
