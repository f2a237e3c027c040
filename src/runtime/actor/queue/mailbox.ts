/** The bounded queue before an actor. `CellQueue` has one once something waits. */
export interface MailboxLimits {
  /** Messages at which the mailbox is full. */
  readonly messages: number;
  /** Bytes of messages at which the mailbox is full. */
  readonly bytes: number;
  /** Mails at which no more mail is accepted. */
  readonly mails: number;
}

/**
 * Things that may wait for an actor: messages of its peer, mail, its own timers, each of them at most once, and notices
 * of its topics.
 */
export type Waiting =
  | WaitingMessage
  | { readonly kind: "mail" }
  | { readonly kind: "timer" }
  | { readonly kind: "notice" };

interface WaitingMessage {
  readonly kind: "message";
  readonly byteLength: number;
  /** See `Message.compact`. */
  compact?(): WaitingMessage;
}

/**
 * A queue, first in, first out. It never drops anything: the caller asks `full` or `mailFull` first, and stops.
 * Messages and mail have bounds of their own, so that neither keeps the other out. One message always fits, however
 * long.
 */
export class Mailbox<T extends Waiting> implements Compactable {
  readonly #limits: MailboxLimits;
  readonly #compactor: MailboxCompactor | undefined;
  #queue: T[] = [];
  #head = 0;
  #messages = 0;
  #bytes = 0;
  #mails = 0;
  #notices = 0;
  /** Number of messages that were pushed since the last `compact`. */
  #fresh = 0;

  /** @param compactor calls `compact` at the end of each turn with a new message */
  constructor(limits: MailboxLimits, compactor?: MailboxCompactor) {
    this.#limits = limits;
    this.#compactor = compactor;
  }

  get length(): number {
    return this.#queue.length - this.#head;
  }

  get hasMessages(): boolean {
    return this.#messages > 0;
  }

  /** True when messages have to wait outside. */
  get full(): boolean {
    return this.#messages >= this.#limits.messages || this.#bytes >= this.#limits.bytes;
  }

  /** True when at most half of both limits is in use: filling may go on. */
  get roomy(): boolean {
    return this.#messages <= this.#limits.messages / 2 && this.#bytes <= this.#limits.bytes / 2;
  }

  get mailFull(): boolean {
    return this.#mails >= this.#limits.mails;
  }

  /** True when as many notices wait as mails may. */
  get noticesFull(): boolean {
    return this.#notices >= this.#limits.mails;
  }

  push(one: T): void {
    this.#queue.push(one);
    this.#count(one, 1);
    if (one.kind === "message" && ++this.#fresh === 1) this.#compactor?.add(this);
  }

  /** Gives the messages that came since the last call, and still wait, memory of their own. */
  compact(): void {
    let fresh = this.#fresh;
    this.#fresh = 0;
    for (let at = this.#queue.length - 1; at >= this.#head && fresh > 0; at--) {
      const one = this.#queue[at];
      if (one?.kind !== "message") continue;
      fresh--;
      if (one.compact !== undefined) this.#queue[at] = one.compact() as T & WaitingMessage;
    }
  }

  shift(): T | undefined {
    const one = this.#queue[this.#head];
    if (one === undefined) return undefined;
    this.#head++;
    this.#count(one, -1);
    // Removes taken entries at once when they are half of the array.
    if (this.#head * 2 >= this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return one;
  }

  /** Iterates over what waits. */
  *[Symbol.iterator](): Generator<T, void> {
    for (let at = this.#head; at < this.#queue.length; at++) yield this.#queue[at] as T;
  }

  /** Empties the mailbox. Returns its content. */
  clear(): T[] {
    const left = this.#queue.slice(this.#head);
    this.#queue = [];
    this.#head = 0;
    this.#messages = 0;
    this.#bytes = 0;
    this.#mails = 0;
    this.#notices = 0;
    return left;
  }

  #count(one: T, sign: 1 | -1): void {
    if (one.kind === "message") {
      this.#messages += sign;
      this.#bytes += sign * one.byteLength;
    } else if (one.kind === "mail") {
      this.#mails += sign;
    } else if (one.kind === "notice") {
      this.#notices += sign;
    }
  }
}

interface Compactable {
  compact(): void;
}

/**
 * Gives messages that wait for their actor memory of their own. A shard has one compactor for all its mailboxes.
 *
 * A message comes as a part of a block of 64 KiB, and the bounds of a mailbox count its own bytes. So a message that
 * waits is copied out of its block: not at once, but at the end of the turn. Most messages that wait for an async
 * handler are handled before, and copying each of them took two thirds of the CPU of an async echo.
 */
export class MailboxCompactor {
  #mailboxes: Compactable[] = [];

  /** Compacts the mailbox once, at the end of the turn. */
  add(mailbox: Compactable): void {
    if (this.#mailboxes.push(mailbox) === 1) setImmediate(this.#compact);
  }

  readonly #compact = (): void => {
    const mailboxes = this.#mailboxes;
    this.#mailboxes = [];
    for (const mailbox of mailboxes) mailbox.compact();
  };
}
