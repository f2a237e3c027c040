/**
 * One actor object after the other of a connection, and the calls of its handlers. `ActorCell` decides when to call.
 */
import type { AsyncResource } from "node:async_hooks";
import { SwitchboardError } from "../../errors.ts";
import type { Message } from "../../wire/protocol/message.ts";
import type { Actor, ActorClass } from "./actor.ts";
import { constructActor, overrides, replaceContext } from "./actor-class.ts";
import type { ActorScopes, ScopeOwner } from "./actor-scopes.ts";
import type { TimerCall } from "./actor-timers.ts";
import type { ActorContext } from "./context/actor-context.ts";
import { handlersAreTraced, traceHandler } from "./diagnostics.ts";
import type { HandlerName, Work } from "./work.ts";

export interface IncarnationOwner {
  /** @param replaced true if the actor object that began the work has been replaced, or will be */
  detachedFailed(error: unknown, replaced: boolean): void;
}

/**
 * Holds the actor object of a connection, the first one or one that replaced it, and calls its handlers: in a scope of
 * their own, so that promises which they leave alone have an owner, and traced if somebody subscribes.
 */
export class Incarnation implements ScopeOwner {
  place = -1;
  readonly #actorClass: ActorClass;
  #context: ActorContext;
  readonly #scopes: ActorScopes;
  /** Undefined after `abandon`. */
  #owner: IncarnationOwner | undefined;
  /** Undefined if the constructor failed. */
  #actor: Actor | undefined;
  /** Number of actor objects before this one. */
  #life = 0;
  /** Scope that is kept from one message to the next, for a while. */
  #scope: AsyncResource | undefined;
  /** Scope that `enter` has entered. */
  #entered: AsyncResource | undefined;

  constructor(actorClass: ActorClass, context: ActorContext, scopes: ActorScopes, owner: IncarnationOwner) {
    this.#actorClass = actorClass;
    this.#context = context;
    this.#scopes = scopes;
    this.#owner = owner;
  }

  /** Constructs the first actor object. Throws what its constructor throws. */
  construct(): void {
    // `opened` comes next and uses the same scope.
    this.#scope = this.#newScope();
    this.#scope.runInAsyncScope(this.#construct, this);
  }

  /** True if this is the current actor object. */
  is(actor: object): boolean {
    return this.#actor === actor;
  }

  get isConstructed(): boolean {
    return this.#actor !== undefined;
  }

  /** True if the actor's class has a `mailed` of its own. */
  get handlesMail(): boolean {
    return this.#actor === undefined || overrides(this.#actor, "mailed");
  }

  /** True if the actor's class has a `shuttingDown` of its own. */
  get wantsShutdownNotice(): boolean {
    return this.#actor === undefined || overrides(this.#actor, "shuttingDown");
  }

  /** Calls the handler. Returns its result, throws its error. */
  handle(work: Work): unknown {
    if (work.kind === "message" && this.#isInKeptScope() && !handlersAreTraced()) return this.#receive(work);
    if (this.#isInherited(work) && !handlersAreTraced()) {
      this.dropScope();
      return undefined;
    }
    const scope = this.#scope ?? this.#newScope();
    this.#keepScope(scope, work);
    if (handlersAreTraced()) return scope.runInAsyncScope(this.#trace, this, work);
    return scope === this.#entered ? this.#call(work) : scope.runInAsyncScope(this.#call, this, work);
  }

  /** True within `enter`: a message needs no scope of its own. */
  #isInKeptScope(): boolean {
    return this.#entered !== undefined && this.#entered === this.#scope;
  }

  #receive(message: Message): unknown {
    return (this.#actor as Actor).received(message);
  }

  /** True for `opened` and `closed` of a class that has none of its own: they do nothing, and need no scope. */
  #isInherited({ kind }: Work): boolean {
    const actor = this.#actor;
    if (kind === "opening") return actor !== undefined && !overrides(actor, "opened");
    return kind === "closing" && (actor === undefined || !overrides(actor, "closed"));
  }

  /** Calls `read` for messages that come together: in the kept scope, so that it is entered once for all of them. */
  enter<T>(read: (this: T) => void, reader: T): void {
    const scope = this.#scope;
    if (scope === undefined || this.#entered !== undefined) {
      read.call(reader);
      return;
    }
    this.#entered = scope;
    try {
      scope.runInAsyncScope(read, reader);
    } finally {
      this.#entered = undefined;
    }
  }

  handlerOf(work: Work): HandlerName {
    switch (work.kind) {
      case "message":
        return "received";
      case "mail":
        return "mailed";
      case "timer":
        return "timer";
      case "notice":
        return work.handler;
      case "opening":
        return "opened";
      case "restart":
        return this.#actor === undefined ? "constructor" : "restarted";
      case "resume":
        return this.#actor === undefined ? "constructor" : "resumed";
      case "suspending":
        return "suspended";
      case "shuttingDown":
        return "shuttingDown";
      case "closing":
        return "closed";
    }
  }

  /**
   * Another object will replace this one through `handle`: promises that this object left alone no longer concern the
   * actor.
   */
  retire(): void {
    this.#life++;
    this.dropScope();
  }

  /** Called by `ActorScopes`, also when the actor is done. */
  dropScope(): void {
    if (this.#scope === undefined) return;
    this.#scope = undefined;
    this.#scopes.release(this);
  }

  /** Takes the connection from the actor object. A handler that was given up then sends to nobody. */
  detachActor(): void {
    if (this.#actor !== undefined) replaceContext(this.#actor, this.#context.withoutConnection());
  }

  /**
   * The actor is done, but a handler that was given up may still run: everything that the handler holds lets go of the
   * cell and the connection.
   */
  abandon(): void {
    this.dropScope();
    this.detachActor();
    this.#context = this.#context.withoutConnection();
    this.#actor = undefined;
    this.#owner = undefined;
  }

  /** Called by `ActorScopes`. */
  detachedFailed(error: unknown, life: number): boolean {
    this.#owner?.detachedFailed(error, life !== this.#life);
    return this.#owner !== undefined;
  }

  #call(work: Work): unknown {
    if (work.kind === "restart") {
      this.#actor = undefined;
      return this.#construct().restarted(work.error);
    }
    if (work.kind === "resume") {
      this.#actor = undefined;
      return this.#construct().resumed(work.state, work.version);
    }
    const actor = this.#actor;
    switch (work.kind) {
      case "message":
        return this.#receive(work);
      case "mail":
        return (actor as Actor).mailed(work.value, work.from);
      case "timer":
        work.waits = false;
        return work.cancelled ? undefined : this.#callTimer(actor as Actor, work.call);
      case "notice":
        if (work.handler === "presenceChanged") return (actor as Actor).presenceChanged(work.event);
        return (actor as Actor).streamLost(work.topic, work.position);
      case "opening":
        return (actor as Actor).opened();
      case "shuttingDown":
        return (actor as Actor).shuttingDown();
      case "suspending":
        return (actor as Actor).suspended();
      case "closing":
        return actor?.closed(work.code, work.reason);
    }
  }

  /** Throws `ERR_TIMER` if the timer came from a class with a method that this class lacks. */
  #callTimer(actor: Actor, call: TimerCall): unknown {
    if (typeof call === "function") return call();
    const { method, argument } = call;
    const found: unknown = Reflect.get(actor, method);
    if (typeof found === "function") return found.call(actor, argument);
    throw new SwitchboardError(
      "ERR_TIMER",
      `a timer calls ${JSON.stringify(method)}, and the actor has no such method`,
    );
  }

  #trace(work: Work): unknown {
    const { actor, address, shard } = this.#context;
    const input = work.kind === "message" ? { input: work } : work.kind === "mail" ? { input: work.value } : {};
    return traceHandler(() => this.#call(work), { address, shard, actor, handler: this.handlerOf(work), ...input });
  }

  #construct(): Actor {
    this.#actor = constructActor(this.#actorClass, this.#context);
    return this.#actor;
  }

  /** Keeps the scope, except after calls that happen once in a connection's life. */
  #keepScope(scope: AsyncResource, { kind }: Work): void {
    if (kind === "message" || kind === "mail" || kind === "timer" || kind === "notice") {
      if (this.#scope === undefined) this.#scopes.keep(this);
      this.#scope = scope;
    } else {
      this.dropScope();
    }
  }

  #newScope(): AsyncResource {
    return this.#scopes.create(this, this.#life);
  }
}
