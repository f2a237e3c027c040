import type { Work } from "./incarnation.ts";

export interface HandlerCallOwner {
  /** The handler's promise was fulfilled. */
  handlerReturned(work: Work, value: unknown): void;
  /** The handler's promise was rejected. */
  handlerFailed(work: Work, error: unknown): void;
}

/**
 * One call of an async handler, from the promise that the handler returned until that settles or the call is given up. The promise holds this
 * object and not the cell: a handler that never ends keeps no cell and no connection in memory once its call is given up.
 */
export class HandlerCall {
  readonly work: Work;
  #owner: HandlerCallOwner | undefined;
  /** Time at which `HandlerWatch` first saw this call, in milliseconds of the watch's clock. */
  seenAt: number | undefined;
  /** Time at which `HandlerWatch` first saw this call after the connection had ended, in milliseconds of the watch's clock. */
  seenEndingAt: number | undefined;

  constructor(work: Work, owner: HandlerCallOwner) {
    this.work = work;
    this.#owner = owner;
  }

  /** Tells the owner once, when the promise settles. */
  follow(promise: PromiseLike<unknown>): void {
    // Also for what is only like a promise: told once, and never within this call.
    Promise.resolve(promise).then(
      (value) => this.#leaveOwner()?.handlerReturned(this.work, value),
      (error) => this.#leaveOwner()?.handlerFailed(this.work, error),
    );
  }

  /** Ignores what the promise comes to from now on, a rejection included. */
  giveUp(): void {
    this.#owner = undefined;
  }

  #leaveOwner(): HandlerCallOwner | undefined {
    const owner = this.#owner;
    this.#owner = undefined;
    return owner;
  }
}
