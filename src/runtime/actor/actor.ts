/**
 * The base class of actors, and the mark by which other copies of this package know it. Users extend `Actor`; shards
 * construct the classes through `actor-class.ts`.
 */
import { SwitchboardError } from "../../errors.ts";
import { CloseCode } from "../../wire/protocol/close-code.ts";
import type { Message, Sendable } from "../../wire/protocol/message.ts";
import type { SendResult } from "../../wire/protocol/send-result.ts";
import {
  isSlowConsumerPolicy,
  SLOW_CONSUMER_POLICIES,
  type SlowConsumerPolicy,
} from "../../wire/protocol/slow-consumer-policy.ts";
import type { PresenceStats } from "../streams/engine.ts";
import type { Position } from "../streams/position.ts";
import type { Subscribed, SubscribeOptions } from "../streams/subscribe.ts";
import type { HistoryPage, PresenceEvent, PresenceMember, ReadHistoryOptions } from "../streams/topic-memory.ts";
import type { TimerCall } from "./actor-timers.ts";
import { type Address, checkAddress } from "./address.ts";
import type { ActorContext, Params, PublishOptions } from "./context/actor-context.ts";
import type { ConnectionRequest } from "./context/connection-request.ts";
import type { PublishResult } from "./context/publish-result.ts";
import type { AskOptions, TellResult } from "./mail.ts";
import { DEFAULT_MESSAGE_MEMORY, type MessageMemory } from "./message-memory.ts";
import { reportToBoard } from "./report-sink.ts";
import { DEFAULT_SLOW_CONSUMER_CLOSE, type SlowConsumerClose } from "./slow-consumer-close.ts";
import type { Supervision } from "./supervision.ts";

/** The result of a handler: nothing, or a promise that is awaited before the next handler. */
// biome-ignore lint/suspicious/noConfusingVoidType: an override may be declared to return nothing
export type Handled = void | Promise<unknown>;

/** Context of the actor that is being constructed: fields and constructors can use it already. */
let contextOfNext: ActorContext | undefined;

/** Replaces the context of an actor object of this copy of the package. */
let replaceOwnContext: (actor: Actor, context: ActorContext) => void;

/**
 * The behaviour of one connection, in its shard. Extend this class, and make yours the default export of the actor
 * module.
 *
 * Handlers run one at a time; a handler that returns a promise is awaited before the next one. A handler that throws or
 * rejects is reported by the board and closes its connection with 1011, unless `supervision` says otherwise; no other
 * connection is concerned. The same holds for a rejected promise that a handler, or work that it started, left alone.
 */
export abstract class Actor<Session = unknown> {
  /** Strategy for a failure of a handler of this class. Default: `{ strategy: "stop" }`. */
  static readonly supervision: Supervision = { strategy: "stop" };

  /**
   * Names of the headers to keep for `this.request.headers`, such as `["user-agent", "cookie"]`. Each header costs
   * every connection the memory of its value. Default: none.
   */
  static readonly requestHeaders: readonly string[] = [];

  /**
   * Close code and reason for a peer that reads too slowly, where `slowConsumerPolicy` closes the connection. Clients
   * of a protocol of one's own may come back only after certain codes. Default: 1013, "reads too slowly".
   */
  static readonly slowConsumerClose: SlowConsumerClose = DEFAULT_SLOW_CONSUMER_CLOSE;

  /**
   * Memory of the messages that `received` gets. `"borrowed"` is a promise: no message, and no view of its bytes, is
   * used after the handler, or the promise that it returned, has ended. Long messages then need no memory of their own,
   * and are sent on without a copy. Keep `message.compact()`, a copy, where you keep one. Default: `"owned"`.
   */
  static readonly messages: MessageMemory = DEFAULT_MESSAGE_MEMORY;

  /**
   * Version of the state that `suspended` returns, an integer from 1. A connection moves to another shard only if its
   * class has it, and both methods. Default: objects of this class don't move.
   */
  static readonly moves: number | undefined = undefined;

  #context: ActorContext<Session>;

  /** Reports a value without an address, from any code in a shard: see the method `report`. */
  static report(value: unknown): boolean {
    return reportToBoard(value, undefined);
  }

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

  /** Called when the connection is open. Messages wait until it is done. */
  opened(): Handled {}

  /** Called instead of `opened` when this object replaces one whose handler failed. The connection stayed open. */
  restarted(_error: unknown): Handled {}

  /**
   * Called for each message. You may keep the message, and its bytes don't change, unless the class says otherwise
   * (`static messages`).
   */
  received(_message: Message): Handled {}

  /**
   * Called when the board closes: the last moment to send something. The call comes before messages that wait. The
   * close frame follows when the handler is done and the connection's batch has come. Shortly before the end of the
   * board's `timeoutMs` the connection is dropped; at the end the handler is cut.
   */
  shuttingDown(): Handled {}

  /**
   * Called for mail, by `tell` or `ask`; the mail is a copy of this actor's own. The result, awaited, answers an `ask`.
   * Handlers run one at a time: an actor that awaits an answer handles nothing meanwhile, so two actors that ask each
   * other wait in vain.
   *
   * @param _from address of the sender; undefined for the board
   */
  mailed(_mail: unknown, _from: Address | undefined): unknown {
    return undefined;
  }

  /**
   * Called when publications of a stream are lost for this connection: the history no longer had them, or the
   * subscription's `encode` threw (and `supervision` lets the actor live). The subscription has ended: subscribe again,
   * and give the peer the whole state. The default closes the connection with 1013, so that its client comes back and
   * does so itself.
   *
   * @param _position the top of the stream now
   */
  streamLost(_topic: string, _position: Position): Handled {
    this.close(CloseCode.tryAgainLater, "lost its place in a stream");
  }

  /**
   * Called for joins and leaves of other connections, on topics to which this actor subscribed with `presenceChanges`.
   * A `joined` of an address that is known tells its new info. After `kind: "missed"` read `presence` again.
   */
  presenceChanged(_event: PresenceEvent): Handled {}

  /**
   * Called as the last handler of this object when the connection moves to another shard, or to new code. The actor may
   * still send and publish. Nothing else is called afterwards, and `closed` only if the connection ends at this moment.
   *
   * Return everything that the next object needs: plain data, at most 1 MiB, or a promise of it within 5 s. An object
   * whose `suspended` throws, or takes longer, goes on where it is.
   */
  suspended(): unknown {
    return undefined;
  }

  /**
   * Called as the first handler of the next object, in place of `opened`. The connection, its subscriptions, its
   * mailbox and timers by method name are as they were.
   *
   * @param _state what `suspended` returned
   * @param _version `static moves` of the class that returned it, which may be older or newer
   */
  resumed(_state: unknown, _version: number): Handled {}

  /**
   * Called once when the connection has closed, after everything before it. The code is the peer's if the peer closed
   * first, ours if we did, 1005 if the peer gave none, and 1006 if the connection ended without a close handshake.
   *
   * The board awaits the promise when it closes, at most until the end of its `timeoutMs`. The call is given up after
   * `handlerTimeoutAfterCloseMs`.
   */
  closed(_code: number, _reason: string): Handled {}

  /** Id of the connection, unique in the life of the board: the address as a string. */
  get id(): string {
    return this.#context.address;
  }

  /** Address of this actor for mail. Valid in other actors, in other threads and through JSON. */
  get address(): Address {
    return this.#context.address;
  }

  /** Index of the shard, from 0. */
  get shard(): number {
    return this.#context.shard;
  }

  /** Session that `authorize` gave to this connection. */
  get session(): Session {
    return this.#context.session;
  }

  get params(): Params {
    return this.#context.params;
  }

  /** Negotiated subprotocol, or "". */
  get protocol(): string {
    return this.#context.protocol;
  }

  /** Request of the connection: its url, its query, the client's address, and the headers of `requestHeaders`. */
  get request(): ConnectionRequest {
    return this.#context.request;
  }

  /**
   * Policy for a peer that doesn't read. Default: the option of the board. Set it in a constructor, in `opened` or
   * later; bytes that wait already stay. A field of this name in a subclass would hide it, and fails like an unknown
   * policy (`ERR_SLOW_CONSUMER_POLICY`).
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

  /**
   * Sends a string as text, bytes as binary, and a received message in its own type. Everything sent in a tick leaves
   * together.
   */
  send(data: Sendable): SendResult {
    return this.#context.send(data);
  }

  /**
   * Resolves when no bytes wait for this peer: the operating system has taken everything that was sent or published.
   * Resolves at once if nothing waits and this turn of the shard has time left: a loop of `send` and `drained` never
   * blocks the shard. Resolves also when the connection closes; the next `send` tells.
   */
  drained(): Promise<void> {
    return this.#context.whenDrained();
  }

  /**
   * Sends one message to every subscriber of the topic on every shard, but not to this actor unless `self` is true.
   * Returns what became of the publish in this thread. Throws `ERR_TOPIC`.
   *
   * On a topic with history every subscriber gets it, this actor included, and the result's `stored` gives its
   * position. Throws `ERR_NO_HISTORY` for an `idempotencyKey` or `expiresMs` on another topic.
   */
  publish(topic: string, data: Sendable, options?: PublishOptions): PublishResult {
    return this.#context.publish(topic, data, options);
  }

  /**
   * Subscribes this connection until it ends. Local publishes arrive from now on. When the promise resolves, every
   * shard knows, and every publish that starts later arrives. A second subscription to the same topic changes nothing,
   * apart from what is said below.
   * Throws `ERR_TOO_MANY_SUBSCRIPTIONS` beyond `maxSubscriptions`, and `ERR_TOPIC`.
   *
   * On a topic with history nothing is delivered before the promise resolves, and what the actor sends right after
   * `await` comes before the first delivery. With `since` the result has what was missed. Another subscription with
   * `since` takes the place of the first. Another one without `since`, but with `user` or `info`, changes these in
   * presence; if that rejects, the subscription stays as it was. Throws `ERR_POSITION`, `ERR_NO_HISTORY`,
   * `ERR_NO_PRESENCE` and `ERR_ARGUMENT` for wrong options; rejects with `ERR_ENGINE_UNAVAILABLE`, and is then not
   * subscribed.
   *
   * @param topic 1 to 255 bytes of UTF-8
   */
  subscribe(topic: string, options?: SubscribeOptions): Promise<Subscribed> {
    return this.#context.subscribe(topic, options);
  }

  unsubscribe(topic: string): void {
    this.#context.unsubscribe(topic);
  }

  /**
   * Reads one page of a stream. Rejects with `ERR_NO_HISTORY`, `ERR_POSITION`, `ERR_STREAM_EPOCH` (the position is of
   * another life of the stream) and `ERR_ENGINE_UNAVAILABLE`.
   */
  history(topic: string, options?: ReadHistoryOptions): Promise<HistoryPage> {
    return this.#context.memory.history(topic, options);
  }

  /** Removes the publications of a stream. Its epoch and offsets go on. Rejects as `history` does. */
  removeHistory(topic: string): Promise<void> {
    return this.#context.memory.removeHistory(topic);
  }

  /**
   * Resolves with the connections that are subscribed to a topic with presence, on every shard and node; at most
   * 10,000. Rejects with `ERR_NO_PRESENCE` and `ERR_ENGINE_UNAVAILABLE`.
   */
  presence(topic: string): Promise<readonly PresenceMember[]> {
    return this.#context.memory.presence(topic);
  }

  /** Resolves with the numbers of connections and of distinct users. Rejects as `presence` does. */
  presenceStats(topic: string): Promise<PresenceStats> {
    return this.#context.memory.presenceStats(topic);
  }

  /**
   * Puts mail into the mailbox of another actor, on any shard. Mail from one actor to another arrives in order, at most
   * once, and as a copy. Throws `ERR_ADDRESS` and `ERR_MAIL_NOT_CLONEABLE`.
   */
  tell<Mail>(to: Address, mail: Mail): Promise<TellResult<Mail>> {
    checkAddress(to);
    return this.#context.mailer.tell(this.address, to, mail);
  }

  /**
   * Sends mail and resolves with the result of the other actor's `mailed`. Rejects with `ERR_ASK_TIMEOUT`,
   * `ERR_ASK_FULL`, `ERR_ASK_GONE` (also if the other ends before it has answered), or `ERR_ASK_FAILED` (`mailed`
   * threw: see `cause`). Throws as `tell` does.
   */
  ask(to: Address, mail: unknown, options?: AskOptions): Promise<unknown> {
    checkAddress(to);
    // Rejected here, not where the answer arrives, so that an unhandled rejection is reported for the actor that asked.
    return this.#context.mailer.ask(this.address, to, mail, options).then();
  }

  /**
   * Tells the program in the main thread something: the board emits `reported` with this actor's address and a copy of
   * the value. Reports of one shard arrive in order. Returns false, and the report is counted as `reportsRefused`,
   * while the main thread has 65,536 reports of this shard to handle. Throws `ERR_MAIL_NOT_CLONEABLE`.
   */
  report(value: unknown): boolean {
    return reportToBoard(value, this.address);
  }

  /**
   * Calls back once, as a handler of this actor: never while another handler runs. Ends with the actor, also at a
   * restart. If the callback throws, the actor fails. Returns a function that cancels. Throws `ERR_TIMER` for a wrong
   * time, no function, or no method of that name.
   *
   * A timer by the name of a method moves with the connection, with the time that is left, and calls the method of the
   * next object: cancel it there by `cancelTimers`. A timer with a function ends when the connection moves, with a
   * warning once for each class.
   *
   * @param delayMs milliseconds, from 0
   * @param call a function, or the name of a method of this actor
   * @param argument what the method gets; plain data if the actor moves
   */
  after(delayMs: number, call: (() => unknown) | string, argument?: unknown): () => void {
    return this.#context.schedule(this, delayMs, this.#timerCall(call, argument), false);
  }

  /**
   * Calls back repeatedly, as `after` does once. A call that is late isn't repeated.
   *
   * @param intervalMs milliseconds, from 1
   */
  every(intervalMs: number, call: (() => unknown) | string, argument?: unknown): () => void {
    return this.#context.schedule(this, intervalMs, this.#timerCall(call, argument), true);
  }

  /**
   * Cancels all timers that call this method, with any argument, also those that came along when the connection moved.
   * Returns their number.
   */
  cancelTimers(method: string): number {
    return this.#context.cancelTimers(method);
  }

  #timerCall(call: (() => unknown) | string, argument: unknown): TimerCall {
    if (typeof call !== "string") return call;
    if (typeof Reflect.get(this, call) === "function") return { method: call, argument };
    const message = `a timer takes a function, or the name of a method: the actor has no method ${JSON.stringify(call)}`;
    throw new SwitchboardError("ERR_TIMER", message);
  }

  /**
   * Starts the close handshake; `closed` follows. Nothing more is received. Does nothing if the connection is closing
   * already.
   *
   * @param code 1000 to 1003, 1007 to 1014, or 3000 to 4999. Default: 1000. Throws `ERR_CLOSE_CODE`.
   * @param reason at most 123 bytes of UTF-8. Default: none. Throws `ERR_CLOSE_REASON`.
   */
  close(code?: number, reason?: string): void {
    this.#context.close(code, reason);
  }
}

export type ActorClass = (new () => Actor) & { readonly prototype: Actor; readonly moves?: number | undefined };

/** Symbol with which each copy of this package marks its `Actor`, so that every other copy recognises it. */
export const ORIGIN: unique symbol = Symbol.for("switchboard.actor");

/**
 * Version of the contract between a shard and an `Actor` of another copy of this package. Raise it with each change of
 * `ActorContext`, or of the way in which a shard calls an actor, that breaks an `Actor` of the version before.
 */
export const ACTOR_CONTRACT = 2;

/**
 * The copy of this package that an actor class's `Actor` comes from. A process may hold several copies: a loader may
 * load the package as an ES module and as CommonJS, a bundler may put the package into the actor's file, and a linked
 * package may bring its own.
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
