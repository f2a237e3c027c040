/** How much one actor may handle before everybody else has had a turn. */
export const TURN_BUDGET = 256;

export interface TurnTaker {
  takeTurn(): void;
}

/**
 * The turns of a thread's actors: whoever has something left to do is called once per turn of the event loop, between its reads, so that
 * no actor keeps the others, or the loop, waiting.
 */
export class Turns {
  #waiting: TurnTaker[] = [];
  #scheduled = false;
  /** Number of the current turn. */
  now = 0;

  /** Says that something is done in this turn; its number. */
  enter(): number {
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(this.#next);
    }
    return this.now;
  }

  /** Calls `takeTurn` once, in the next turn. */
  add(taker: TurnTaker): void {
    this.#waiting.push(taker);
    this.enter();
  }

  readonly #next = (): void => {
    this.#scheduled = false;
    this.now++;
    const takers = this.#waiting;
    this.#waiting = [];
    for (const taker of takers) taker.takeTurn();
  };
}
