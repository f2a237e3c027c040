/** Runs the actor of one connection: its handlers, its failures, its moves, its end. `Connection` owns one. */
import { deserialize } from "node:v8";
import { reportError, SwitchboardError } from "../../errors.ts";
import type { ActorClass } from "./actor.ts";
import type { TimerCall } from "./actor-timers.ts";
import type { ActorContext } from "./context/actor-context.ts";
import { AsyncHandlers, type AsyncHandlersOwner, isPromise } from "./handlers/async-handlers.ts";
import { Incarnation, type IncarnationOwner } from "./incarnation.ts";
import type { CellState } from "./moving/cell-state.ts";
import { warnOfEndedTimers } from "./moving/function-timers.ts";
import { type StayReason, Suspension, type SuspensionDone } from "./moving/suspension.ts";
import { CellQueue } from "./queue/cell-queue.ts";
import { ShutdownNotice } from "./shutdown-notice.ts";
import { type SlowConsumerClose, slowConsumerCloseOf } from "./slow-consumer-close.ts";
import { Supervisor, supervisionOf } from "./supervision.ts";
import {
  type Ending,
  type HandlerName,
  OPENING,
  type Restart,
  type Resume,
  SHUTTING_DOWN,
  SUSPENDING,
  type Work,
} from "./work.ts";

/**
 * Runs one actor, one message at a time: a handler, async or not, is finished before the next one starts. `CellQueue`
 * says what waits meanwhile.
 */
export class ActorCell extends CellQueue implements IncarnationOwner, AsyncHandlersOwner {
  #actorClass: ActorClass | undefined;
  #incarnation: Incarnation | undefined;
  #supervisor: Supervisor | undefined;
  /** Replacement of the actor object, which comes before everything that waits. */
  #restart: Restart | Resume | undefined;
  #busy = false;
  #asyncHandlers: AsyncHandlers | undefined;
  #stopped = false;
  /** End of the connection, until `closed` has been called. */
  #ending: Ending | undefined;
  #ended = false;
  /** Set once the board closes. */
  #shutdownNotice: ShutdownNotice | undefined;
  /** Set while the connection is about to move. A suspended actor counts as busy. */
  #suspension: Suspension | undefined;

  /** Code and reason with which the actor's class closes a peer that reads too slowly. */
  get slowConsumerClose(): SlowConsumerClose {
    return slowConsumerCloseOf(this.#actorClass ?? Object);
  }

  /** Constructs the actor and opens it. */
  open(actorClass: ActorClass, context: ActorContext): void {
    this.#actorClass = actorClass;
    this.#incarnation = new Incarnation(actorClass, context, this.settings.scopes, this);
    try {
      this.#incarnation.construct();
    } catch (error) {
      this.#fail("constructor", error, false);
      return;
    }
    this.#handle(OPENING);
    this.proceed();
  }

  /** True if no handler is under way, and nothing waits. */
  get isIdle(): boolean {
    return !this.mustWait();
  }

  /** True if no message of the peer waits or is being handled. */
  get isAnswered(): boolean {
    if (this.hasMessages) return false;
    const work = this.#asyncHandlers?.work;
    return !this.#busy || (work !== undefined && work.kind !== "message");
  }

  protected get isBusy(): boolean {
    return this.#busy;
  }

  protected get isOver(): boolean {
    return this.#stopped || this.hasEnded;
  }

  /** Calls `read`, which delivers the messages of one read. */
  takeRead<T>(read: (this: T) => void, reader: T): void {
    if (this.#incarnation === undefined) read.call(reader);
    else this.#incarnation.enter(read, reader);
  }

  protected handleNow(work: Work): void {
    this.spend();
    this.#handle(work);
    if (this.#ending !== undefined || this.#restart !== undefined) this.proceed();
  }

  /**
   * Schedules a callback as a handler of the actor, once or repeatedly, until the actor ends. Returns a function that
   * cancels. Throws `ERR_TIMER`.
   *
   * @param actor the actor object that asks; an object that was replaced has no timers any more
   */
  schedule(actor: object, delayMs: number, call: TimerCall, repeats: boolean): () => void {
    const cancel = this.addTimer(delayMs, call, repeats);
    const { isConstructed = false } = this.#incarnation ?? {};
    if (this.isOver || (isConstructed && !this.#incarnation?.is(actor))) cancel();
    return cancel;
  }

  /** Cancels all timers that call this method of the actor. Returns their number. */
  cancelTimers(method: string): number {
    return this.cancelCallsOf(method);
  }

  #endFunctionTimers(): void {
    if (this.clearFunctionTimers() && this.#actorClass !== undefined) warnOfEndedTimers(this.#actorClass);
  }

  /** Tells the actor that the board is closing: at once or as soon as it is free, before everything that waits. */
  announceShutdown(): void {
    if (this.#shutdownNotice !== undefined || this.isOver) return;
    this.#giveUpSuspension();
    // An actor without a `shuttingDown` of its own isn't waited for.
    if (this.#incarnation?.wantsShutdownNotice) this.#shutdownNotice = new ShutdownNotice();
    this.proceed();
  }

  /** Calls back when `shuttingDown` has ended; at once if it isn't called. */
  afterShutdownNotice(callback: () => void): void {
    if (this.#shutdownNotice === undefined) callback();
    else this.#shutdownNotice.whenEnded(callback);
  }

  /**
   * Calls the actor's `suspended` once the actor is idle. `done` is called once, within `limitMs`. Then call `save`, or
   * `resumeHere`.
   */
  suspend(limitMs: number, version: number, done: SuspensionDone): void {
    if (this.isOver || this.#shutdownNotice !== undefined || this.#suspension !== undefined) {
      done("closing");
      return;
    }
    this.#suspension = new Suspension(limitMs, version, () => this.suspensionOverdue(), done);
    this.proceed();
  }

  /** The suspension takes too long: the actor goes on. Does nothing if the actor is suspended. */
  suspensionOverdue(): void {
    if (this.isSuspended) return;
    const wasRunning = this.#suspension?.isRunning === true;
    if (wasRunning) this.#asyncHandlers?.giveUp();
    this.#endSuspension(wasRunning ? "failed" : "busy");
    if (wasRunning) this.#settled();
  }

  /** The actor goes on, if it isn't suspended already. */
  #endSuspension(reason: StayReason, thrown?: { readonly error: unknown }): void {
    const suspension = this.#suspension;
    this.#suspension = undefined;
    suspension?.end(reason, thrown);
  }

  /** True while the actor is suspended and gets nothing. */
  get isSuspended(): boolean {
    return this.#suspension?.isSuspended === true;
  }

  /**
   * Takes a suspended actor out, for `load` in another thread. This cell gives its actor nothing more.
   *
   * @param state what `suspended` returned, as bytes
   */
  save(state: Uint8Array): CellState {
    this.#endFunctionTimers();
    const saved = {
      ...this.saveQueue(),
      failuresMs: this.#supervisor?.save(performance.now()) ?? [],
      version: this.#suspension?.version ?? 0,
      state,
    };
    this.#stopped = true;
    this.#ended = true;
    this.#suspension = undefined;
    this.#asyncHandlers?.end();
    this.#incarnation?.abandon();
    return saved;
  }

  /** Constructs an actor of a state that came from another thread, in place of `open`. */
  load(actorClass: ActorClass, context: ActorContext, { state, version, ...saved }: CellState): void {
    this.#actorClass = actorClass;
    this.#incarnation = new Incarnation(actorClass, context, this.settings.scopes, this);
    this.loadQueue(saved);
    if (saved.failuresMs.length > 0) {
      this.#supervisor = new Supervisor(supervisionOf(actorClass));
      this.#supervisor.load(saved.failuresMs, performance.now());
    }
    this.#restart = { kind: "resume", state: deserialize(state), version };
    this.proceed();
  }

  /** The connection stays. Another actor object takes over what `suspended` returned, and goes on. */
  resumeHere(): void {
    this.#replaceSuspended();
    this.proceed();
  }

  /** The peer has ended: the connection doesn't move, and its actor answers the messages before that end. */
  peerEnded(): void {
    this.#giveUpSuspension();
    this.proceed();
  }

  /** Something comes before the move: the connection stays. */
  #giveUpSuspension(): void {
    if (this.isSuspended) this.#replaceSuspended();
    else this.#endSuspension("closing");
  }

  #replaceSuspended(): void {
    const suspension = this.#suspension;
    if (suspension?.isSuspended !== true) return;
    this.#suspension = undefined;
    this.#endFunctionTimers();
    this.#incarnation?.detachActor();
    this.#incarnation?.retire();
    this.#restart = { kind: "resume", state: suspension.value, version: suspension.version };
    this.#busy = false;
  }

  /** The actor gets nothing more except its `closed`. Everything queued is dropped. */
  stop(): void {
    this.#stopped = true;
    this.#restart = undefined;
    this.#shutdownNotice?.cancel();
    if (this.isSuspended) this.#busy = false;
    this.#endSuspension("closing");
    this.dropWaiting();
  }

  /** The connection has ended: `closed` is called after everything before it. Only the first call counts. */
  end(code: number, reason: string): void {
    if (this.hasEnded) return;
    this.#ending = { kind: "closing", code, reason };
    this.#shutdownNotice?.cancel();
    this.#giveUpSuspension();
    this.clearTimers();
    this.#asyncHandlers?.connectionEnded();
    this.proceed();
  }

  /**
   * Handles everything that waits, as far as the actor is free and its budget lasts: a restart first, then
   * `shuttingDown`, then the mailbox, then `closed`.
   */
  protected proceed(): void {
    while (!this.#busy && !this.isResting) {
      const work = this.#takeRestart() ?? this.#takeNotice() ?? this.next();
      if (work === undefined) break;
      this.spend();
      if (work.kind === "mail" && !this.#incarnation?.handlesMail) this.deadLetter(work, "unhandled");
      else this.#handle(work);
      this.spent();
    }
    if (this.#ending !== undefined && !this.mustWait() && this.#restart === undefined) this.#close();
    else if (this.isAnswered) this.owner.messagesAnswered();
  }

  #takeRestart(): Restart | Resume | undefined {
    const restart = this.#restart;
    if (restart === undefined) return undefined;
    this.#restart = undefined;
    if (restart.kind === "restart") this.clearTimers();
    return restart;
  }

  /** Takes what comes before messages that wait. */
  #takeNotice(): Work | undefined {
    if (this.#shutdownNotice?.begin()) return SHUTTING_DOWN;
    return this.#suspension?.begin() ? SUSPENDING : undefined;
  }

  #close(): void {
    const ending = this.#ending as Ending;
    this.#ended = true;
    this.#ending = undefined;
    this.#handle(ending);
    if (!this.#busy) this.#finish();
  }

  /** `closed` has ended or was given up. */
  #finish(): void {
    this.#asyncHandlers?.end();
    // A handler that was given up may still run: it must not keep this cell and its connection in memory.
    if (this.#asyncHandlers?.gaveUp) this.#incarnation?.abandon();
    this.owner.actorEnded();
  }

  #handle(work: Work): void {
    this.#busy = true;
    try {
      const result = (this.#incarnation as Incarnation).handle(work);
      if (isPromise(result)) {
        this.#asyncHandlers ??= new AsyncHandlers(this, this.settings.watch);
        this.#asyncHandlers.begin(work, result);
        return;
      }
      this.#conclude(work, result);
    } catch (error) {
      this.#failAt(work, error);
    }
    this.#busy = this.isSuspended;
  }

  /** Fails the actor for a function of its class that isn't a handler. */
  fail(handler: HandlerName, error: unknown): void {
    this.#fail(handler, error, !this.isOver);
    this.proceed();
  }

  /** Called by the incarnation. */
  detachedFailed(error: unknown, replaced: boolean): void {
    if (replaced) {
      // The object that replaced it takes no part.
      this.owner.actorFailed("detached", error, "restarted");
      return;
    }
    this.fail("detached", error);
  }

  /** Called by `AsyncHandlers`. */
  handlerReturned(work: Work, value: unknown): void {
    this.#conclude(work, value);
    this.#settled();
  }

  /** Called by `AsyncHandlers`. */
  handlerFailed(work: Work, error: unknown): void {
    this.#failAt(work, error);
    this.#settled();
  }

  /** Called by `AsyncHandlers` at the limit: the handler fails now, even if it still runs. */
  handlerGivenUp(work: Work, limitMs: number): void {
    const handler = (this.#incarnation as Incarnation).handlerOf(work);
    this.owner.handlerTimedOut(handler, limitMs);
    const message = `${handler} was still running after ${limitMs} ms, and is waited for no longer`;
    this.#failAt(work, new SwitchboardError("ERR_HANDLER_TIMEOUT", message));
    if (this.#restart !== undefined) this.#incarnation?.detachActor();
    this.#settled();
  }

  /** True once the connection has ended. */
  get hasEnded(): boolean {
    return this.#ending !== undefined || this.#ended;
  }

  /** Gives the result of a handler to the code that waits for it. */
  #conclude(work: Work, value: unknown): void {
    if (work.kind === "message") return;
    if (work.kind === "mail") work.answer?.({ kind: "answered", value });
    else if (work.kind === "shuttingDown") this.#shutdownNotice?.end();
    else if (work.kind === "suspending") this.#suspension?.succeed(value);
    else if (work.kind === "resume") this.owner.actorResumed();
  }

  #settled(): void {
    this.#busy = this.isSuspended;
    if (this.#ended) this.#finish();
    else this.proceed();
  }

  #failAt(work: Work, error: unknown): void {
    if (work.kind === "suspending") {
      this.#endSuspension("failed", { error });
      this.owner.actorFailed("suspended", error, "resumed");
      return;
    }
    if (work.kind === "mail") work.answer?.({ kind: "failed", error: reportError(error) });
    this.#fail((this.#incarnation as Incarnation).handlerOf(work), error, !this.#stopped && !this.#ended);
    if (work.kind === "shuttingDown") this.#shutdownNotice?.end();
  }

  #fail(handler: HandlerName, error: unknown, canGoOn: boolean): void {
    this.#supervisor ??= new Supervisor(supervisionOf(this.#actorClass as ActorClass));
    const outcome = this.#supervisor.decide(canGoOn, performance.now());
    if (outcome === "restarted") {
      this.#restart = { kind: "restart", error };
      this.#incarnation?.retire();
    } else if (outcome !== "resumed") this.stop();
    this.owner.actorFailed(handler, error, outcome);
  }
}
