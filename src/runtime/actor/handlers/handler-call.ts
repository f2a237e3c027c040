/** One call of an async handler. `AsyncHandlers` creates it. */
import { LentMessage } from "../../../wire/protocol/message.ts";
import type { Work } from "../work.ts";

export interface HandlerCallOwner {
  /** The promise of the handler was fulfilled. */
  handlerReturned(work: Work, value: unknown): void;
  /** The promise of the handler was rejected. */
  handlerFailed(work: Work, error: unknown): void;
}

/**
 * One call of an async handler, from the promise that the handler returned until the promise settles or the call is
 * given up. The promise holds this object, not the cell: once the call is given up, a handler that never ends keeps no
 * cell and no connection in memory.
 */
export class HandlerCall {
  readonly work: Work;
  #owner: HandlerCallOwner | undefined;
  /** Time at which `HandlerWatch` first saw this call, in milliseconds of the watch's clock. */
  seenAt: number | undefined;
  /**
   * Time at which `HandlerWatch` first saw this call after the connection had ended, in milliseconds of the watch's
   * clock.
   */
  seenEndingAt: number | undefined;

  constructor(work: Work, owner: HandlerCallOwner) {
    this.work = work;
    if (work instanceof LentMessage) work.keep();
    this.#owner = owner;
  }

  /** Tells the owner once, when the promise settles. */
  follow(promise: PromiseLike<unknown>): void {
    // `Promise.resolve` also takes thenables: it settles once, and never within this call.
    Promise.resolve(promise).then(
      (value) => this.#end()?.handlerReturned(this.work, value),
      (error) => this.#end()?.handlerFailed(this.work, error),
    );
  }

  /** Ignores the promise from now on, also its rejection. */
  giveUp(): void {
    this.#owner = undefined;
  }

  #end(): HandlerCallOwner | undefined {
    if (this.work instanceof LentMessage) this.work.giveBack();
    const owner = this.#owner;
    this.#owner = undefined;
    return owner;
  }
}
