import { HandlerCall } from "./handler-call.ts";
import type { HandlerWatch, WatchedActor } from "./handler-watch.ts";
import type { Work } from "./incarnation.ts";

export interface AsyncHandlersOwner {
  /** Whether the connection has ended. */
  readonly hasEnded: boolean;
  /** The handler's promise was fulfilled. */
  handlerReturned(work: Work, value: unknown): void;
  /** The handler's promise was rejected. */
  handlerFailed(work: Work, error: unknown): void;
  /** The handler took longer than `limitMs`: its promise is waited for no longer, and tells nobody anything any more. */
  handlerGivenUp(work: Work, limitMs: number): void;
}

/** The async handlers of one actor, one at a time: waits for each, as long as the watch lets it. Exists from the first on. */
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

  /** Whether a handler was given up: it may still run. */
  get gaveUp(): boolean {
    return this.#gaveUp;
  }

  /** From the watch. */
  get handlerCall(): HandlerCall | undefined {
    return this.#call;
  }

  /** From the watch. */
  get hasEnded(): boolean {
    return this.#owner.hasEnded;
  }

  /** A handler returned this promise. */
  begin(work: Work, promise: PromiseLike<unknown>): void {
    this.#call = new HandlerCall(work, this);
    this.#watchCall();
    this.#call.follow(promise);
  }

  /** The connection has ended: another limit may apply to the handler that is under way. */
  connectionEnded(): void {
    if (this.#call !== undefined) this.#watchCall();
  }

  /** The actor is done. */
  end(): void {
    if (this.#watched) this.#watch?.delete(this);
  }

  /** From the call. */
  handlerReturned(work: Work, value: unknown): void {
    this.#call = undefined;
    this.#owner.handlerReturned(work, value);
  }

  /** From the call. */
  handlerFailed(work: Work, error: unknown): void {
    this.#call = undefined;
    this.#owner.handlerFailed(work, error);
  }

  /** From the watch. */
  handlerTimedOut(limitMs: number): void {
    const call = this.#call;
    if (call === undefined) return;
    call.giveUp();
    this.#call = undefined;
    this.#gaveUp = true;
    this.#owner.handlerGivenUp(call.work, limitMs);
  }

  /** From the watch. */
  unwatched(): void {
    this.#watched = false;
  }

  #watchCall(): void {
    if (this.#watched || !this.#watch?.limits(this.#owner.hasEnded)) return;
    this.#watched = true;
    this.#watch.add(this);
  }
}
