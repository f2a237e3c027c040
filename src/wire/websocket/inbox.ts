/**
 * Messages that arrived and wait for their reader. Each `WebSocket` has one.
 */
import type { Message } from "../protocol/message.ts";

export interface InboxLimits {
  readonly maxInboxMessages: number;
  readonly maxInboxBytes: number;
}

type Waiter = PromiseWithResolvers<IteratorResult<Message, undefined>>;

/** A queue of messages. The WebSocket stops reading its stream while the inbox is full. */
export class Inbox {
  readonly #limits: InboxLimits;
  readonly #drained: () => void;
  readonly #messages: Message[] = [];
  #bytes = 0;
  #waiters: Waiter[] = [];
  /** True when no message will follow. */
  #ended = false;

  /**
   * @param drained called when at most half of the limits is in use, after each message that a reader took from the
   * queue
   */
  constructor(limits: InboxLimits, drained: () => void) {
    this.#limits = limits;
    this.#drained = drained;
  }

  get full(): boolean {
    return this.#messages.length >= this.#limits.maxInboxMessages || this.#bytes >= this.#limits.maxInboxBytes;
  }

  push(message: Message): void {
    if (this.#ended) return;
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      waiter.resolve({ done: false, value: message });
      return;
    }
    this.#messages.push(message);
    this.#bytes += message.byteLength;
  }

  /** Resolves with the next message, or with `done` after the last. */
  next(): Promise<IteratorResult<Message, undefined>> {
    const message = this.#messages.shift();
    if (message !== undefined) {
      this.#bytes -= message.byteLength;
      if (this.#halfEmpty()) this.#drained();
      return Promise.resolve({ done: false, value: message });
    }
    if (this.#ended) return Promise.resolve(DONE);
    const waiter: Waiter = Promise.withResolvers();
    this.#waiters.push(waiter);
    return waiter.promise;
  }

  /** No message will follow. Waiting messages can still be taken. */
  end(): void {
    this.#ended = true;
    for (const waiter of this.#waiters) waiter.resolve(DONE);
    this.#waiters = [];
  }

  #halfEmpty(): boolean {
    const { maxInboxMessages, maxInboxBytes } = this.#limits;
    return this.#messages.length <= maxInboxMessages / 2 && this.#bytes <= maxInboxBytes / 2;
  }
}

const DONE = { done: true, value: undefined } as const;
