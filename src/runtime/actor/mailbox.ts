export interface MailboxLimits {
  /** Messages at which the mailbox is full. */
  readonly messages: number;
  /** Bytes of messages at which the mailbox is full. */
  readonly bytes: number;
  /** Mails at which no more mail is taken. */
  readonly mails: number;
}

/** What may wait for an actor: messages of its peer, mail, and its own timers, of which each waits at most once. */
export type Waiting =
  | { readonly kind: "message"; readonly byteLength: number }
  | { readonly kind: "mail" }
  | { readonly kind: "timer" };

/**
 * The bounded queue in front of an actor, first in, first out. It never drops: who fills it asks `full` or `mailFull` first and stops
 * when it is. Messages and mail have bounds of their own, so that neither keeps the other out. One message always fits, however large.
 */
export class Mailbox<T extends Waiting> {
  readonly #limits: MailboxLimits;
  #queue: T[] = [];
  #head = 0;
  #messages = 0;
  #bytes = 0;
  #mails = 0;

  constructor(limits: MailboxLimits) {
    this.#limits = limits;
  }

  get length(): number {
    return this.#queue.length - this.#head;
  }

  /** Whether messages have to wait outside. */
  get full(): boolean {
    return this.#messages >= this.#limits.messages || this.#bytes >= this.#limits.bytes;
  }

  /** Whether messages have drained so far that filling may go on: half of both limits. */
  get roomy(): boolean {
    return this.#messages <= this.#limits.messages / 2 && this.#bytes <= this.#limits.bytes / 2;
  }

  get mailFull(): boolean {
    return this.#mails >= this.#limits.mails;
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
    // What was taken goes in one piece, when it is half of the array.
    if (this.#head * 2 >= this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return one;
  }

  /** Empties it; returns what was in it. */
  clear(): T[] {
    const left = this.#queue.slice(this.#head);
    this.#queue = [];
    this.#head = 0;
    this.#messages = 0;
    this.#bytes = 0;
    this.#mails = 0;
    return left;
  }

  #count(one: T, sign: 1 | -1): void {
    if (one.kind === "message") {
      this.#messages += sign;
      this.#bytes += sign * one.byteLength;
    } else if (one.kind === "mail") {
      this.#mails += sign;
    }
  }
}
