/** The messages that arrive on a port of the engine. The engine's host and each client have one inbox for a port. */
import type { BatchReader } from "../bus/batch.ts";
import type { FairScheduler, ScheduledTask } from "../scheduling/fair-scheduler.ts";

export interface InboxOwner<Message> {
  /** Handles a message. Returns the message's batch, if there is one; its records are taken next. */
  handle(message: Message): BatchReader | undefined;
  /** Handles the next record of a batch. */
  handleRecord(batch: BatchReader): void;
  /** All records of a batch have been handled. */
  batchEnded(bytes: number): void;
}

/** Records between two looks at the clock. */
const RECORDS_AT_ONCE = 64;

/**
 * Hands out messages and the records of batches in order, while the turn has time. The rest waits for the next turn.
 */
export class Inbox<Message> implements ScheduledTask {
  readonly #owner: InboxOwner<Message>;
  readonly #turns: FairScheduler;
  #messages: Message[] = [];
  /** Index of the next message in `#messages`. */
  #next = 0;
  /** Batch that isn't read to its end. */
  #batch: BatchReader | undefined;
  #records = 0;
  #waits = false;
  #isHurried = false;

  constructor(owner: InboxOwner<Message>, turns: FairScheduler) {
    this.#owner = owner;
    this.#turns = turns;
  }

  add(message: Message): void {
    this.#messages.push(message);
    if (!this.#waits) this.takeTurn();
  }

  /** Handles everything that is left at once, however long that takes. */
  finish(): void {
    this.#isHurried = true;
    this.takeTurn();
  }

  /** Forgets all messages that have not been handled. */
  clear(): void {
    this.#messages = [];
    this.#next = 0;
    this.#batch = undefined;
  }

  takeTurn(): void {
    // `#waits` is true also while a message is handled: a handler may lead to another message.
    this.#waits = true;
    let finished = false;
    try {
      finished = this.#handleAll();
    } finally {
      this.#waits = !finished;
      if (!finished) this.#turns.add(this);
    }
  }

  /** Returns true when nothing is left. */
  #handleAll(): boolean {
    while (true) {
      for (let batch = this.#batch; batch !== undefined; batch = this.#batch) {
        if (batch.ended) {
          this.#batch = undefined;
          this.#owner.batchEnded(batch.byteLength);
          break;
        }
        if (this.#isOver()) return false;
        this.#owner.handleRecord(batch);
      }
      const message = this.#messages[this.#next];
      if (message === undefined) {
        this.clear();
        return true;
      }
      if (this.#isOver()) return false;
      this.#next++;
      this.#batch = this.#owner.handle(message);
    }
  }

  #isOver(): boolean {
    if (this.#isHurried || this.#records++ < RECORDS_AT_ONCE) return false;
    this.#records = 0;
    return this.#turns.over;
  }
}
