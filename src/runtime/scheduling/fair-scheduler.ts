/**
 * Fair scheduling inside one thread. Connections, actors and links of the bus that have much to do take turns.
 */

/** Messages that one actor may handle before all others have had a turn. */
export const TURN_BUDGET = 256;

/** Milliseconds that all takers together may use in one turn of the event loop. A step that has begun is finished. */
export const TURN_MS = 4;

export interface ScheduledTask {
  /** Does a part of the work that is left, until `Turns.over` is true or a bound of the taker is reached. */
  takeTurn(): void;
}

/**
 * The turns of a thread. A taker with more work than fits into one step adds itself and is called between the reads of
 * the event loop, first come, first served, while the time of the turn lasts. The takers that are left come first in
 * the next turn. So neither one busy taker nor a crowd of takers blocks the event loop, and small work, which needs no
 * turn, overtakes them all.
 *
 * Turns are measured in time, not in messages or bytes, because the cost of a message differs a thousandfold: by its
 * compression, by the number of subscribers of what the handler publishes, and by the handler itself.
 */
export class FairScheduler {
  readonly #clock: () => number;
  #waiting: ScheduledTask[] = [];
  #scheduled = false;
  /** End of the current turn by `clock`; undefined until the first question of the turn; 0 when others wait already. */
  #endsAt: number | undefined;
  /** Number of the current turn. */
  now = 0;

  /** @param clock gives the time in milliseconds */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  /** Marks that work is done in this turn. Returns the number of the turn. */
  enter(): number {
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(this.#next);
    }
    return this.now;
  }

  /** Calls `takeTurn` once, in the next turn that has time for the taker. */
  add(taker: ScheduledTask): void {
    this.#waiting.push(taker);
    this.enter();
  }

  /**
   * True when the time of the current turn is used up or others are queued: a taker with much work left should then
   * `add` itself and return. The time runs from the first question in a turn.
   */
  get over(): boolean {
    if (this.#endsAt === undefined) {
      this.enter();
      this.#endsAt = this.#waiting.length > 0 ? 0 : this.#clock() + TURN_MS;
      return this.#endsAt === 0;
    }
    return this.#endsAt === 0 || this.#clock() >= this.#endsAt;
  }

  /** `!over` as a bound function. */
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
