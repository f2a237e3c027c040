import { SwitchboardError } from "../../errors.ts";
import type { Message, Sendable } from "../../wire/protocol/message.ts";
import type { SendResult } from "../../wire/protocol/send-result.ts";
import { type Address, checkAddress } from "./address.ts";
import type { ConnectionRequest } from "./connection-request.ts";
import type { AskOptions, Mailer, TellResult } from "./mail.ts";
import {
  isSlowConsumerPolicy,
  type PublishResult,
  SLOW_CONSUMER_POLICIES,
  type SlowConsumerPolicy,
} from "./send-results.ts";
import type { Supervision } from "./supervision.ts";

export interface PublishOptions {
  /** Deliver to the publisher too, if it subscribes the topic. Default: false. */
  readonly self?: boolean;
}

/** The values of a path's parameters: `room` for `/chat/:room`. */
export type Params = Readonly<Record<string, string>>;

/** What an actor stands on: its connection, without the socket. */
export interface ActorContext<Session = unknown> {
  readonly address: Address;
  readonly shard: number;
  readonly session: Session;
  readonly params: Params;
  readonly protocol: string;
  readonly request: ConnectionRequest;
  slowConsumerPolicy: SlowConsumerPolicy;
  readonly mailer: Mailer;
  send(data: Sendable): SendResult;
  whenDrained(): Promise<void>;
  publish(topic: string, data: Sendable, options?: PublishOptions): PublishResult;
  subscribe(topic: string): Promise<void>;
  unsubscribe(topic: string): void;
  close(code?: number, reason?: string): void;
  schedule(actor: Actor, delayMs: number, callback: () => unknown, repeats: boolean): () => void;
  /** What stays of this context for an actor object that has no connection any more; it doesn't hold the connection. */
  withoutConnection(): ActorContext<Session>;
}

/** The context of the actor being constructed, so that fields and constructors can use it already. */
let contextOfNext: ActorContext | undefined;

/** Gives an actor object of this copy of the package another context. */
let replaceOwnContext: (actor: Actor, context: ActorContext) => void;

/**
 * The behaviour of one connection, in its shard: extend it, and make it the default export of the actor module. Handlers
 * run one at a time; one that returns a promise is awaited before the next. A handler that throws or rejects is reported by the board,
 * closes its connection with 1011 unless `supervision` says otherwise, and concerns nobody else. So does a promise that a handler left
 * alone, or that something begun in a handler did, when it rejects.
 */
export abstract class Actor<Session = unknown> {
  /** What is done when a handler of this class fails. Default: `{ strategy: "stop" }`. */
  static readonly supervision: Supervision = { strategy: "stop" };

  /**
   * Headers of the request to keep for `this.request.headers`, such as `["user-agent", "cookie"]`. Each costs its connection the memory of its
   * value. Default: none.
   */
  static readonly requestHeaders: readonly string[] = [];

  #context: ActorContext<Session>;

  static {
    replaceOwnContext = (actor, context) => {
      actor.#context = context;
    };
  }

  constructor() {
    if (contextOfNext === undefined) {
      throw new SwitchboardError("ERR_ACTOR_CONSTRUCTED", "actors are constructed by their shard, not by new");
    }
    this.#context = contextOfNext as ActorContext<Session>;
    contextOfNext = undefined;
  }

  /** The connection is open. Messages wait until this is done. */
  opened(): void | Promise<void> {}

  /** A new actor object took over a connection that is open, because a handler of the one before failed. Called instead of `opened`. */
  restarted(_error: unknown): void | Promise<void> {}

  /** A message came. It may be kept; its bytes stay as they are. */
  received(_message: Message): void | Promise<void> {}

  /**
   * The board is closing, and soon this connection: the last moment to send something. Comes before messages that wait; the close frame
   * follows when this is done and the connection's turn has come. What isn't done shortly before the end of the board's `timeoutMs` loses its
   * connection, and what isn't done at the end is cut.
   */
  shuttingDown(): void | Promise<void> {}

  /**
   * Mail came, by `tell` or `ask`: a copy of this actor's own. What it returns, or its promise comes to, is the answer to an `ask`.
   * Handlers run one at a time: an actor that waits for an answer handles nothing meanwhile, so two that ask each other wait in vain.
   *
   * @param _from undefined when the board itself sent it
   */
  mailed(_mail: unknown, _from: Address | undefined): unknown {
    return undefined;
  }

  /**
   * The connection is closed; called once, after every message that came before. The code is the peer's if it closed first, ours if we
   * did, 1005 if the peer gave none, and 1006 if the connection ended without a close handshake.
   *
   * The board awaits the promise when it closes, at most until the end of its `timeoutMs`. It is given up after `handlerTimeoutAfterCloseMs`.
   */
  closed(_code: number, _reason: string): void | Promise<void> {}

  /** Unique among all connections of the board's lifetime: the address as a string. */
  get id(): string {
    return this.#context.address;
  }

  /** Where mail to this actor goes: may be sent to other actors, to other threads and through JSON. */
  get address(): Address {
    return this.#context.address;
  }

  /** Index of the shard this runs in, from 0. */
  get shard(): number {
    return this.#context.shard;
  }

  /** What `authorize` gave for this connection. */
  get session(): Session {
    return this.#context.session;
  }

  get params(): Params {
    return this.#context.params;
  }

  /** The subprotocol agreed on, or "". */
  get protocol(): string {
    return this.#context.protocol;
  }

  /** The request that the connection came with: its url, its query, the client's address and the headers of `requestHeaders`. */
  get request(): ConnectionRequest {
    return this.#context.request;
  }

  /**
   * What happens when this connection's peer doesn't read. Default: the board's option of this name. Set it in `opened`, in a constructor, or
   * later; what waits already stays. A field of this name in a subclass would hide it, and fails like an unknown policy
   * (`ERR_SLOW_CONSUMER_POLICY`).
   */
  get slowConsumerPolicy(): SlowConsumerPolicy {
    return this.#context.slowConsumerPolicy;
  }

  set slowConsumerPolicy(policy: SlowConsumerPolicy) {
    if (!isSlowConsumerPolicy(policy)) {
      const message = `slowConsumerPolicy is one of ${SLOW_CONSUMER_POLICIES.join(", ")}, got ${String(policy)}`;
      throw new SwitchboardError("ERR_SLOW_CONSUMER_POLICY", message);
    }
    this.#context.slowConsumerPolicy = policy;
  }

  /** Sends one message: a string as text, bytes as binary, a received message as it came. Leaves with all else of this tick. */
  send(data: Sendable): SendResult {
    return this.#context.send(data);
  }

  /**
   * Resolves when nothing waits for this peer any more: all that was sent or published to it has been handed to the operating system. At
   * once if nothing waits and this turn of the shard has time left, so that a loop of `send` and `drained` keeps nobody waiting. Also when the
   * connection closes, so that nobody waits for ever: the next `send` tells.
   */
  drained(): Promise<void> {
    return this.#context.whenDrained();
  }

  /**
   * Sends one message to every subscriber of the topic on every shard, but not to this actor unless asked to. Says what became of it in
   * this thread.
   */
  publish(topic: string, data: Sendable, options?: PublishOptions): PublishResult {
    return this.#context.publish(topic, data, options);
  }

  /**
   * Subscribes this connection; it ends with the connection. Local publishes arrive from now on; when the promise resolves every
   * shard knows, so that every publish that starts after it arrives. Subscribing twice is subscribing once.
   *
   * Throws `ERR_TOO_MANY_SUBSCRIPTIONS` for another topic beyond `maxSubscriptions`.
   *
   * @param topic 1 to 255 bytes of UTF-8; anything else throws
   */
  subscribe(topic: string): Promise<void> {
    return this.#context.subscribe(topic);
  }

  unsubscribe(topic: string): void {
    this.#context.unsubscribe(topic);
  }

  /**
   * Puts mail into the mailbox of another actor, on whatever shard. What one actor tells another arrives in order, at most once, and as a
   * copy. Throws `ERR_ADDRESS` for what is no address, and `ERR_MAIL_NOT_CLONEABLE`.
   */
  tell<Mail>(to: Address, mail: Mail): Promise<TellResult<Mail>> {
    checkAddress(to);
    return this.#context.mailer.tell(this.address, to, mail);
  }

  /**
   * Sends mail and waits for what the other's `mailed` returns. Rejects with `ERR_ASK_TIMEOUT`, `ERR_ASK_FULL`, `ERR_ASK_GONE` (also when
   * the other ends before it has answered), or `ERR_ASK_FAILED` (it threw: see `cause`). Throws as `tell` does.
   */
  ask(to: Address, mail: unknown, options?: AskOptions): Promise<unknown> {
    checkAddress(to);
    // Rejected here, not where the answer comes in: whoever doesn't await it is to blame for that.
    return this.#context.mailer.ask(this.address, to, mail, options).then();
  }

  /**
   * Calls back once, in a turn of this actor's own: never while a handler runs. Ends with the actor, also at a restart. What it throws is
   * a failure of the actor. Returns what cancels it. Throws `ERR_TIMER` for what is no time in milliseconds or no function.
   */
  after(delayMs: number, callback: () => unknown): () => void {
    return this.#context.schedule(this, delayMs, callback, false);
  }

  /** The same again and again, from 1 ms on. A turn that comes late doesn't come twice. */
  every(intervalMs: number, callback: () => unknown): () => void {
    return this.#context.schedule(this, intervalMs, callback, true);
  }

  /**
   * Starts the close handshake; `closed` follows. Nothing more is received. Harmless when already closing.
   *
   * @param code 1000 to 1003, 1007 to 1014, or 3000 to 4999; anything else throws. Default: 1000.
   * @param reason at most 123 bytes of UTF-8; more throws. Default: none.
   */
  close(code?: number, reason?: string): void {
    this.#context.close(code, reason);
  }
}

export type ActorClass = (new () => Actor) & { readonly prototype: Actor };

/** The name under which each copy of this package marks its `Actor`, so that every other copy recognises it. */
const ORIGIN = Symbol.for("switchboard.actor");

/**
 * The version of the contract between a shard and an `Actor` of another copy of this package. Raise this number with each change of
 * `ActorContext`, or of how a shard calls an actor, after which an `Actor` of the version before would fail.
 */
export const ACTOR_CONTRACT = 1;

/**
 * The copy of this package that an actor class's `Actor` comes from. A process may hold several copies: a loader may load the package as an
 * ES module and as CommonJS, a bundler may put the package into the actor's file, and a linked package may bring its own.
 */
export interface ActorOrigin {
  readonly contract: number;
  /** URL of the file that holds the copy's `Actor`; a bundle in CommonJS doesn't know its URL. */
  readonly file: string | undefined;
  /** The prototype of the copy's `Actor`. */
  readonly base: Actor;
  /** The copy's own way to construct an actor: only the copy itself can hand the context to its `Actor`. */
  readonly construct: (actorClass: ActorClass, context: ActorContext) => Actor;
  /** Gives an actor object of the copy another context. */
  readonly replaceContext: (actor: Actor, context: ActorContext) => void;
}

const OWN_ORIGIN: ActorOrigin = {
  contract: ACTOR_CONTRACT,
  file: import.meta.url,
  base: Actor.prototype,
  construct: constructOwn,
  replaceContext: replaceOwnContext,
};
Object.defineProperty(Actor.prototype, ORIGIN, { value: OWN_ORIGIN });

/** Constructs an actor on its context, by the copy of this package that the actor's class comes from. Throws what its constructor throws. */
export function constructActor(actorClass: ActorClass, context: ActorContext): Actor {
  return originOf(actorClass.prototype).construct(actorClass, context);
}

/** Gives an actor object, of whichever copy of this package, another context. */
export function replaceContext(actor: Actor, context: ActorContext): void {
  originOf(actor).replaceContext(actor, context);
}

function constructOwn(actorClass: ActorClass, context: ActorContext): Actor {
  contextOfNext = context;
  let actor: Actor;
  try {
    actor = new actorClass();
  } finally {
    contextOfNext = undefined;
  }
  if (Object.hasOwn(actor, "slowConsumerPolicy")) {
    const message = "slowConsumerPolicy can't be a field of an actor class: set this.slowConsumerPolicy in opened";
    throw new SwitchboardError("ERR_SLOW_CONSUMER_POLICY", message);
  }
  return actor;
}

/** Whether the value is a class that extends `Actor`, of whichever copy and version of this package. */
export function isActorClass(value: unknown): value is ActorClass {
  if (typeof value !== "function" || typeof value.prototype !== "object" || value.prototype === null) return false;
  return ORIGIN in value.prototype && !Object.hasOwn(value.prototype, ORIGIN);
}

/** Throws `ERR_ACTOR_COPY`, with both files, when the class comes from a copy of this package that this copy can't work with. */
export function checkActorContract(actorClass: ActorClass): void {
  const { contract, file } = originOf(actorClass.prototype);
  if (contract === ACTOR_CONTRACT) return;
  const message = `the actor class extends the Actor of another version of switchboard, ${file ?? "in a bundle"}, and its shard runs ${import.meta.url}: install one version, and build the actor against that`;
  throw new SwitchboardError("ERR_ACTOR_COPY", message);
}

/** Whether the actor's class has the handler itself, and doesn't inherit it from `Actor`. */
export function overrides(actor: Actor, handler: "mailed" | "shuttingDown"): boolean {
  return actor[handler] !== originOf(actor).base[handler];
}

function originOf(actor: Actor): ActorOrigin {
  return (actor as unknown as { readonly [ORIGIN]: ActorOrigin })[ORIGIN];
}
