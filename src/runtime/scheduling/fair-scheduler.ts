/**
 * Fair scheduling inside one thread. Connections, actors and links of the bus that have much to do take turns.
 */

/** Messages that one actor may handle before all others have had a turn. */
export const TURN_BUDGET = 256;

/** Milliseconds that all tasks together may use in one turn of the event loop. A step that has begun is finished. */
export const TURN_MS = 4;

/** Milliseconds that background tasks get in a turn at least, if the other tasks took the whole turn. */
export const BACKGROUND_MS = 1;

/** Number of pieces of background work that are done at once in a turn. Promises hide how long that takes. */
const MAX_ADMITTED = 16;

export interface ScheduledTask {
  /** Does a part of the work that is left, until `FairScheduler.over` is true or a bound of the task is reached. */
  takeTurn(): void;
}

/**
 * The turns of a thread. A task with more work than fits into one step adds itself and is called between the reads of
 * the event loop, first come, first served, while the time of the turn lasts. The tasks that are left come first in
 * the next turn. So neither one busy task nor a crowd of tasks blocks the event loop, and small work, which needs no
 * turn, overtakes them all.
 *
 * Turns are measured in time, not in messages or bytes, because the cost of a message differs a thousandfold: by its
 * compression, by the number of subscribers of what the handler publishes, and by the handler itself.
 *
 * Background tasks are the work for connections that have just opened, or that end. They run after all other tasks, in
 * the time that is left of the turn. So a storm of new connections doesn't delay the established ones. Much of this
 * work goes on in promises, which a turn of plain calls wouldn't see: between two background tasks, the microtasks run.
 */
export class FairScheduler {
  readonly #clock: () => number;
  #waiting: ScheduledTask[] = [];
  #background: ScheduledTask[] = [];
  /** Number of pieces of background work that were done at once in this turn. */
  #admitted = 0;
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

  /** Calls `takeTurn` once, in the next turn that has time for the task. */
  add(task: ScheduledTask): void {
    this.#waiting.push(task);
    this.enter();
  }

  /** Calls `takeTurn` once, behind the tasks of `add`, in the next turn that has time for the task. */
  addBackground(task: ScheduledTask): void {
    this.#background.push(task);
    this.enter();
  }

  /**
   * Returns true if background work may be done at once: nothing of the background waits, and this turn has had little
   * of it. Otherwise the work must `addBackground` itself.
   */
  admitsBackground(): boolean {
    if (this.#background.length > 0 || this.#admitted === MAX_ADMITTED) return false;
    if (this.#admitted++ === 0) this.enter();
    return true;
  }

  /** Does work of the background: at once, or in its turn. The work of all callers keeps its order. */
  readonly runInBackground = (work: () => void): void => {
    if (this.admitsBackground()) work();
    else this.addBackground({ takeTurn: work });
  };

  /** Resolves when background work may go on; undefined if it may now. */
  readonly backgroundTurn = (): Promise<void> | undefined => {
    if (this.admitsBackground()) return undefined;
    return new Promise((resolve) => this.addBackground({ takeTurn: resolve }));
  };

  /**
   * True when the time of the current turn is used up or other tasks are queued: a task with much work left should then
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
    this.#admitted = 0;
    const tasks = this.#waiting;
    this.#waiting = [];
    this.#endsAt = this.#clock() + TURN_MS;
    let taken = 0;
    try {
      while (taken < tasks.length) {
        tasks[taken++]?.takeTurn();
        if (this.over) break;
      }
    } finally {
      if (taken < tasks.length) {
        this.#waiting = [...tasks.slice(taken), ...this.#waiting];
        this.enter();
      }
      if (this.#background.length > 0) void this.#runBackground();
      else this.#endsAt = undefined;
    }
  };

  /** Belongs to the turn that calls: only microtasks run between the steps. */
  async #runBackground(): Promise<void> {
    const tasks = this.#background;
    const endsAt = Math.max(this.#endsAt ?? 0, this.#clock() + BACKGROUND_MS);
    this.#endsAt = endsAt;
    let taken = 0;
    try {
      // Tasks that are added meanwhile wait for the next turn.
      for (const last = tasks.length; taken < last; ) {
        tasks[taken++]?.takeTurn();
        await undefined;
        if (this.#clock() >= endsAt) break;
      }
    } catch (error) {
      // An error of a task ends the thread, as it does in a turn of other tasks.
      setImmediate(() => {
        throw error;
      });
    }
    this.#background = tasks.slice(taken);
    if (this.#background.length > 0) this.enter();
    this.#endsAt = undefined;
  }
}
