/** The bounded queue before an actor. `ActorCell` owns one. */
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
  | { readonly kind: "message"; readonly byteLength: number }
  | { readonly kind: "mail" }
  | { readonly kind: "timer" }
  | { readonly kind: "notice" };

/**
 * A queue, first in, first out. It never drops anything: the caller asks `full` or `mailFull` first, and stops.
 * Messages and mail have bounds of their own, so that neither keeps the other out. One message always fits, however
 * long.
 */
export class Mailbox<T extends Waiting> {
  readonly #limits: MailboxLimits;
  #queue: T[] = [];
  #head = 0;
  #messages = 0;
  #bytes = 0;
  #mails = 0;
  #notices = 0;

  constructor(limits: MailboxLimits) {
    this.#limits = limits;
  }

  get length(): number {
    return this.#queue.length - this.#head;
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
