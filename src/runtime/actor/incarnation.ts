import type { AsyncResource } from "node:async_hooks";
import type { Message } from "../../wire/protocol/message.ts";
import { type Actor, type ActorClass, type ActorContext, constructActor, overrides, replaceContext } from "./actor.ts";
import type { ActorScopes, ScopeOwner } from "./actor-scopes.ts";
import type { ActorTimer } from "./actor-timers.ts";
import { handlersAreTraced, traceHandler } from "./diagnostics.ts";
import type { Mail } from "./mail.ts";

export type HandlerName =
  | "constructor"
  | "opened"
  | "received"
  | "mailed"
  | "timer"
  | "shuttingDown"
  | "restarted"
  | "closed"
  /** None: a promise of whichever handler, that it made and left alone. */
  | "detached";

/** Another actor object is to take over. */
export interface Restart {
  readonly kind: "restart";
  readonly error: unknown;
}

/** How the connection ended. */
export interface Ending {
  readonly kind: "closing";
  readonly code: number;
  readonly reason: string;
}

/** What there may be to do for an actor: each is one call of a handler. */
export type Work = Message | Mail | ActorTimer | Restart | Ending | { readonly kind: "opening" | "shuttingDown" };

export const OPENING: Work = { kind: "opening" };
export const SHUTTING_DOWN: Work = { kind: "shuttingDown" };

export interface IncarnationOwner {
  /** @param replaced another actor object has taken over from the one that began it, or will */
  detachedFailed(error: unknown, replaced: boolean): void;
}

/**
 * The actor object of a connection, the first or one that took over from it, and the calls of its handlers: in a scope of their own, so that it
 * is known what they left alone, and traced where somebody wants to know. When to call is the cell's business.
 */
export class Incarnation implements ScopeOwner {
  readonly #actorClass: ActorClass;
  #context: ActorContext;
  readonly #scopes: ActorScopes;
  /** Undefined once this is abandoned. */
  #owner: IncarnationOwner | undefined;
  /** Undefined where its constructor failed. */
  #actor: Actor | undefined;
  /** How many actor objects were here before. */
  #life = 0;
  /** Kept from one message to the next, for a while. */
  #scope: AsyncResource | undefined;

  constructor(actorClass: ActorClass, context: ActorContext, scopes: ActorScopes, owner: IncarnationOwner) {
    this.#actorClass = actorClass;
    this.#context = context;
    this.#scopes = scopes;
    this.#owner = owner;
  }

  /** Constructs the first actor object. Throws what its constructor throws. */
  construct(): void {
    // The same for what comes next, its `opened`.
    this.#scope = this.#newScope();
    this.#scope.runInAsyncScope(this.#construct, this);
  }

  /** Whether there is an actor object, and it is this one. */
  is(actor: Actor): boolean {
    return this.#actor === actor;
  }

  get isConstructed(): boolean {
    return this.#actor !== undefined;
  }

  /** Whether the actor's class has a `mailed` of its own. */
  get handlesMail(): boolean {
    return this.#actor === undefined || overrides(this.#actor, "mailed");
  }

  /** Whether the actor's class has a `shuttingDown` of its own. */
  get wantsShutdownNotice(): boolean {
    return this.#actor === undefined || overrides(this.#actor, "shuttingDown");
  }

  /** Calls the handler; gives what it returns, throws what it throws. */
  handle(work: Work): unknown {
    const scope = this.#scope ?? this.#newScope();
    this.#keepScope(scope, work);
    return scope.runInAsyncScope(handlersAreTraced() ? this.#trace : this.#call, this, work);
  }

  handlerOf(work: Work): HandlerName {
    switch (work.kind) {
      case "message":
        return "received";
      case "mail":
        return "mailed";
      case "timer":
        return "timer";
      case "opening":
        return "opened";
      case "restart":
        return this.#actor === undefined ? "constructor" : "restarted";
      case "shuttingDown":
        return "shuttingDown";
      case "closing":
        return "closed";
    }
  }

  /** Another object will take over, by `handle`: what this one left alone concerns it no more. */
  retire(): void {
    this.#life++;
    this.dropScope();
  }

  /** From `ActorScopes`; also when nothing more comes. */
  dropScope(): void {
    if (this.#scope === undefined) return;
    this.#scope = undefined;
    this.#scopes.release(this);
  }

  /** Takes the connection from the actor object: what a handler of it that was given up still sends goes nowhere. */
  detachActor(): void {
    if (this.#actor !== undefined) replaceContext(this.#actor, this.#context.withoutConnection());
  }

  /** Nothing more comes, and a handler that was given up may still run: what that holds leads to no cell and no connection any more. */
  abandon(): void {
    this.dropScope();
    this.detachActor();
    this.#context = this.#context.withoutConnection();
    this.#actor = undefined;
    this.#owner = undefined;
  }

  /** From `ActorScopes`. */
  detachedFailed(error: unknown, life: number): boolean {
    this.#owner?.detachedFailed(error, life !== this.#life);
    return this.#owner !== undefined;
  }

  #call(work: Work): unknown {
    if (work.kind === "restart") {
      this.#actor = undefined;
      return this.#construct().restarted(work.error);
    }
    const actor = this.#actor;
    switch (work.kind) {
      case "message":
        return (actor as Actor).received(work);
      case "mail":
        return (actor as Actor).mailed(work.value, work.from);
      case "timer":
        work.waits = false;
        return work.cancelled ? undefined : work.callback();
      case "opening":
        return (actor as Actor).opened();
      case "shuttingDown":
        return (actor as Actor).shuttingDown();
      case "closing":
        return actor?.closed(work.code, work.reason);
    }
  }

  #trace(work: Work): unknown {
    const { address, shard } = this.#context;
    const input = work.kind === "message" ? { input: work } : work.kind === "mail" ? { input: work.value } : {};
    return traceHandler(() => this.#call(work), { address, shard, handler: this.handlerOf(work), ...input });
  }

  #construct(): Actor {
    this.#actor = constructActor(this.#actorClass, this.#context);
    return this.#actor;
  }

  /** After what comes once in a connection's life it isn't kept. */
  #keepScope(scope: AsyncResource, { kind }: Work): void {
    if (kind === "message" || kind === "mail" || kind === "timer") {
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
