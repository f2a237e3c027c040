/** Waits for the async handlers of one actor. `ActorCell` owns it. */

import type { Work } from "../work.ts";
import { HandlerCall } from "./handler-call.ts";
import type { HandlerWatch, WatchedActor } from "./handler-watch.ts";

export interface AsyncHandlersOwner {
  /** True once the connection has ended. */
  readonly hasEnded: boolean;
  /** The promise of the handler was fulfilled. */
  handlerReturned(work: Work, value: unknown): void;
  /** The promise of the handler was rejected. */
  handlerFailed(work: Work, error: unknown): void;
  /** The handler took longer than `limitMs`. Its promise is no longer awaited, and its result is ignored. */
  handlerGivenUp(work: Work, limitMs: number): void;
}

/**
 * Waits for the async handlers of one actor, one at a time, as long as the watch allows. Exists from the first async
 * handler on.
 */
export class AsyncHandlers implements WatchedActor {
  readonly #owner: AsyncHandlersOwner;
  readonly #watch: HandlerWatch | undefined;
  #call: HandlerCall | undefined;
  #watched = false;
  #gaveUp = false;

  constructor(owner: AsyncHandlersOwner, watch: HandlerWatch | undefined) {
    this.#owner = owner;
    this.#watch = watch;
  }

  /** True if a handler was given up; it may still run. */
  get gaveUp(): boolean {
    return this.#gaveUp;
  }

  /** Work of the handler that runs. */
  get work(): Work | undefined {
    return this.#call?.work;
  }

  /** Called by the watch. */
  get handlerCall(): HandlerCall | undefined {
    return this.#call;
  }

  /** Called by the watch. */
  get hasEnded(): boolean {
    return this.#owner.hasEnded;
  }

  /** A handler returned this promise. */
  begin(work: Work, promise: PromiseLike<unknown>): void {
    this.#call = new HandlerCall(work, this);
    this.#watchCall();
    this.#call.follow(promise);
  }

  /** The connection has ended: another limit may now apply to the running handler. */
  connectionEnded(): void {
    if (this.#call !== undefined) this.#watchCall();
  }

  /** The actor is done: the watch no longer looks at it. */
  end(): void {
    if (this.#watched) this.#watch?.delete(this);
  }

  /** Called by the `HandlerCall`. */
  handlerReturned(work: Work, value: unknown): void {
    this.#call = undefined;
    this.#owner.handlerReturned(work, value);
  }

  /** Called by the `HandlerCall`. */
  handlerFailed(work: Work, error: unknown): void {
    this.#call = undefined;
    this.#owner.handlerFailed(work, error);
  }

  /** Waits no longer for the handler that runs, and ignores its result. */
  giveUp(): void {
    this.#call?.giveUp();
    this.#call = undefined;
    this.#gaveUp = true;
  }

  /** Called by the watch. */
  handlerTimedOut(limitMs: number): void {
    const call = this.#call;
    if (call === undefined) return;
    this.giveUp();
    this.#owner.handlerGivenUp(call.work, limitMs);
  }

  /** Called by the watch. */
  unwatched(): void {
    this.#watched = false;
  }

  #watchCall(): void {
    if (this.#watched || !this.#watch?.limits(this.#owner.hasEnded)) return;
    this.#watched = true;
    this.#watch.add(this);
  }
}

/** True if a handler returned a promise, or another thenable. */
export function isPromise(result: unknown): result is PromiseLike<unknown> {
  return typeof result === "object" && result !== null && typeof (result as PromiseLike<unknown>).then === "function";
}
