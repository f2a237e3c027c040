/**
 * Messages that arrived and wait for their reader. Each `WebSocket` has one.
 */
import type { Message } from "../protocol/message.ts";

export interface InboxLimits {
  readonly maxInboxMessages: number;
  readonly maxInboxBytes: number;
}

export interface InboxOwner {
  /** No more than half of the limits is in use. Called after each message that a reader took from the queue. */
  drained(): void;
  /** `isAnswered` has become true. */
  answered(): void;
}

/** A loop over the messages. */
interface Loop {
  /** True while the body of the loop has a message. */
  isBusy: boolean;
}

interface Waiter extends PromiseWithResolvers<IteratorResult<Message, undefined>> {
  readonly loop: Loop | undefined;
}

/** A queue of messages. The WebSocket stops reading its stream while the inbox is full. */
export class Inbox {
  readonly #limits: InboxLimits;
  readonly #owner: InboxOwner;
  readonly #messages: Message[] = [];
  #bytes = 0;
  #waiters: Waiter[] = [];
  #busyLoops = 0;
  /** True when no message will follow. */
  #ended = false;

  constructor(limits: InboxLimits, owner: InboxOwner) {
    this.#limits = limits;
    this.#owner = owner;
  }

  /** True if no message waits, and no loop has one. Whether a reader that isn't a loop is done, nobody knows. */
  get isAnswered(): boolean {
    return this.#messages.length === 0 && this.#busyLoops === 0;
  }

  get full(): boolean {
    return this.#messages.length >= this.#limits.maxInboxMessages || this.#bytes >= this.#limits.maxInboxBytes;
  }

  push(message: Message): void {
    if (this.#ended) return;
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      this.#setBusy(waiter.loop, true);
      waiter.resolve({ done: false, value: message });
      return;
    }
    this.#messages.push(message);
    this.#bytes += message.byteLength;
  }

  /** Resolves with the next message, or with `done` after the last. */
  next(): Promise<IteratorResult<Message, undefined>> {
    return this.#next(undefined);
  }

  /** Starts a loop. The body has each message until the loop asks for the next one, or is left. */
  loop(): AsyncIterator<Message, undefined> {
    const loop: Loop = { isBusy: false };
    return {
      next: () => {
        this.#setBusy(loop, false);
        return this.#next(loop);
      },
      return: () => {
        this.#setBusy(loop, false);
        return Promise.resolve(DONE);
      },
    };
  }

  #next(loop: Loop | undefined): Promise<IteratorResult<Message, undefined>> {
    const message = this.#messages.shift();
    if (message !== undefined) {
      this.#bytes -= message.byteLength;
      this.#setBusy(loop, true);
      if (this.#halfEmpty()) this.#owner.drained();
      if (this.isAnswered) this.#owner.answered();
      return Promise.resolve({ done: false, value: message });
    }
    if (this.#ended) return Promise.resolve(DONE);
    const waiter: Waiter = { ...Promise.withResolvers<IteratorResult<Message, undefined>>(), loop };
    this.#waiters.push(waiter);
    return waiter.promise;
  }

  #setBusy(loop: Loop | undefined, isBusy: boolean): void {
    if (loop === undefined || loop.isBusy === isBusy) return;
    loop.isBusy = isBusy;
    this.#busyLoops += isBusy ? 1 : -1;
    if (this.isAnswered) this.#owner.answered();
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
