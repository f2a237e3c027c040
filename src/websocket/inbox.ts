import type { Message } from "../protocol/message.ts";

export interface InboxLimits {
  readonly inboxLimit: number;
  readonly inboxLimitBytes: number;
}

type Waiter = PromiseWithResolvers<IteratorResult<Message, undefined>>;

/** Messages that arrived and wait for their reader. It says when it is full, and whoever fills it stops. */
export class Inbox {
  readonly #limits: InboxLimits;
  readonly #drained: () => void;
  readonly #messages: Message[] = [];
  #bytes = 0;
  #waiters: Waiter[] = [];
  /** Set when nothing more comes; the error is for the reader who gets there. */
  #end: { readonly error: Error | undefined } | undefined;

  /** @param drained called when it was full and half of that has been taken */
  constructor(limits: InboxLimits, drained: () => void) {
    this.#limits = limits;
    this.#drained = drained;
  }

  get full(): boolean {
    return this.#messages.length >= this.#limits.inboxLimit || this.#bytes >= this.#limits.inboxLimitBytes;
  }

  push(message: Message): void {
    if (this.#end !== undefined) return;
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      waiter.resolve({ done: false, value: message });
      return;
    }
    this.#messages.push(message);
    this.#bytes += message.byteLength;
  }

  /** The next message; done, or rejected with the error of `end`, after the last one. */
  next(): Promise<IteratorResult<Message, undefined>> {
    const message = this.#messages.shift();
    if (message !== undefined) {
      this.#bytes -= message.byteLength;
      if (this.#halfEmpty()) this.#drained();
      return Promise.resolve({ done: false, value: message });
    }
    if (this.#end === undefined) {
      const waiter: Waiter = Promise.withResolvers();
      this.#waiters.push(waiter);
      return waiter.promise;
    }
    return this.#end.error === undefined ? Promise.resolve(DONE) : Promise.reject(this.#end.error);
  }

  /** Nothing more comes. What waits can still be taken. Only the first call counts. */
  end(error: Error | undefined): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    for (const waiter of this.#waiters) {
      if (error === undefined) waiter.resolve(DONE);
      else waiter.reject(error);
    }
    this.#waiters = [];
  }

  #halfEmpty(): boolean {
    const { inboxLimit, inboxLimitBytes } = this.#limits;
    return this.#messages.length <= inboxLimit / 2 && this.#bytes <= inboxLimitBytes / 2;
  }
}

const DONE = { done: true, value: undefined } as const;
