export interface MailboxLimits {
  /** Messages at which the mailbox is full. */
  readonly messages: number;
  /** Bytes at which the mailbox is full. */
  readonly bytes: number;
}

/**
 * The bounded queue in front of an actor, first in, first out. It never drops: who fills it asks `full` first and stops
 * when it is. One message always fits, however large.
 */
export class Mailbox<T extends { readonly byteLength: number }> {
  readonly #limits: MailboxLimits;
  #queue: T[] = [];
  #head = 0;
  #bytes = 0;

  constructor(limits: MailboxLimits) {
    this.#limits = limits;
  }

  get length(): number {
    return this.#queue.length - this.#head;
  }

  get full(): boolean {
    return this.length >= this.#limits.messages || this.#bytes >= this.#limits.bytes;
  }

  /** Whether it has drained so far that filling may go on: half of both limits. */
  get roomy(): boolean {
    return this.length <= this.#limits.messages / 2 && this.#bytes <= this.#limits.bytes / 2;
  }

  push(message: T): void {
    this.#queue.push(message);
    this.#bytes += message.byteLength;
  }

  shift(): T | undefined {
    const message = this.#queue[this.#head];
    if (message === undefined) return undefined;
    this.#head++;
    this.#bytes -= message.byteLength;
    // Taken messages go in one piece, when they are half of the array.
    if (this.#head * 2 >= this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return message;
  }

  clear(): void {
    this.#queue = [];
    this.#head = 0;
    this.#bytes = 0;
  }
}
