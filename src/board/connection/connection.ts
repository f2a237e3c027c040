/**
 * One WebSocket in a shard, with its actor. The shard creates one `Connection` for each socket that it adopts.
 */
import type { ActorClass } from "../../runtime/actor/actor.ts";
import { ActorCell } from "../../runtime/actor/actor-cell.ts";
import type { ActorCellOwner } from "../../runtime/actor/cell-host.ts";
import type { ActorContext, PublishOptions } from "../../runtime/actor/context/actor-context.ts";
import { ConnectionRequest } from "../../runtime/actor/context/connection-request.ts";
import type { PublishResult } from "../../runtime/actor/context/publish-result.ts";
import type { DeadLetterReason, Mail, MailVerdict } from "../../runtime/actor/mail.ts";
import { messagesOf } from "../../runtime/actor/message-memory.ts";
import type { StayReason, SuspensionDone } from "../../runtime/actor/moving/suspension.ts";
import type { FailureOutcome } from "../../runtime/actor/supervision.ts";
import type { HandlerName } from "../../runtime/actor/work.ts";
import type { Subscriber } from "../../runtime/bus/audience.ts";
import type { Ticket } from "../../runtime/bus/moving/move.ts";
import type { FeedMember } from "../../runtime/feeds/membership.ts";
import type { Position } from "../../runtime/streams/position.ts";
import { NOTHING_KEPT, type Subscribed, type SubscribeOptions } from "../../runtime/streams/subscribe.ts";
import type { PresenceEvent } from "../../runtime/streams/topic-memory.ts";
import type { Loan } from "../../wire/node-internals/loan.ts";
import { checkClose } from "../../wire/protocol/check-close.ts";
import { CloseCode } from "../../wire/protocol/close-code.ts";
import type { Closing } from "../../wire/protocol/close-handshake.ts";
import type { DeflateAgreement } from "../../wire/protocol/deflate/compression.ts";
import type { Frame } from "../../wire/protocol/frame.ts";
import { Message, type Sendable, toFrame } from "../../wire/protocol/message.ts";
import type { SendResult } from "../../wire/protocol/send-result.ts";
import type { SlowConsumerPolicy } from "../../wire/protocol/slow-consumer-policy.ts";
import {
  type Detached,
  isMovableTransport,
  isRelayedTransport,
  type Transport,
} from "../../wire/transport/transport.ts";
import type { ConnectionHost, ConnectionIdentity } from "./connection-host.ts";
import { type ConnectionSnapshot, snapshotOf } from "./connection-info.ts";
import type { ConnectionState } from "./connection-state.ts";
import { reportFailure, reportNotResumed, reportOpening, reportTimeout } from "./diagnostics.ts";
import { EndedContext } from "./ended-context.ts";
import { Endpoint } from "./endpoint.ts";
import type { Inbound } from "./inbound.ts";
import type { BroadcastGroup } from "./outbound/broadcast-group.ts";
import type { ShutdownTarget } from "./shutdown-target.ts";
import { Subscriptions, type TopicsLeaver } from "./subscriptions.ts";

const NO_TOPICS: TopicsLeaver = { subscriptions: [], memberships: [] };

/** The entry of a connection in the registry of its shard. */
export interface Registration {
  /** Undefined once the connection was deleted. */
  connection: Connection | undefined;
  /** Serial, larger than those of all connections before. */
  readonly serial: number;
  /** Set for a connection that opened in another shard; the serial of all others tells. */
  readonly openedAt: number | undefined;
}

/** One WebSocket in a shard, its actor and its topics, put together. */
export class Connection
  extends Endpoint
  implements ActorContext, ActorCellOwner, ShutdownTarget, Subscriber, FeedMember
{
  protected readonly inbound: Inbound;
  readonly #cell: ActorCell;
  /** Created on the first `subscribe`. */
  #subscriptions: Subscriptions | undefined;
  /** Created when the actor first reads `request`. */
  #request: ConnectionRequest | undefined;
  /** Undefined while the connection isn't registered. The registry of the shard owns the field. */
  registration: Registration | undefined;
  /** Called when the actor's `resumed` has ended. */
  #resumeEnded: ((isLost: boolean) => void) | undefined;

  constructor(
    transport: Transport,
    identity: ConnectionIdentity,
    host: ConnectionHost,
    deflate?: DeflateAgreement | undefined,
  ) {
    super(transport, identity, host, deflate);
    this.#cell = new ActorCell(host.cells, this);
    this.inbound = this.receiveInto(this.#cell);
  }

  /** Answers the peer, constructs the actor, opens it, and begins to read. */
  open(actorClass: ActorClass, answer: string): void {
    this.answer(answer);
    reportOpening(this.host, this);
    if (messagesOf(actorClass) === "borrowed") this.inbound.borrow();
    this.#cell.open(actorClass, this);
    this.transport.start(this.inbound);
  }

  // ── for the shard, when it moves to another ────────────────────────────────────────────────────────────

  /** Why the connection can't move, ever or now; undefined if it can, as far as this can be told. */
  get stayReason(): StayReason | undefined {
    if (!this.isOpen || this.isLeaving) return "closing";
    return this.isMovable ? this.#subscriptions?.stayReason : "transport";
  }

  /** True if the connection is open and its bytes can leave this thread. */
  get isMovable(): boolean {
    return this.isOpen && isMovableTransport(this.transport);
  }

  /** True if no handler is under way, and nothing waits for the actor. */
  get isIdle(): boolean {
    return this.#cell.isIdle;
  }

  /** Takes no more messages from the peer, until `readOn`. Mail still comes. */
  setAside(): void {
    this.inbound.setAside();
  }

  readOn(): void {
    this.inbound.readOn();
  }

  /** True if the main thread relays the bytes: the connection can't leave the process. */
  get isRelayed(): boolean {
    return isRelayedTransport(this.transport);
  }

  /** Lends the descriptor of the socket, which goes to another process ahead of the connection. */
  lend(): Loan | undefined {
    return isMovableTransport(this.transport) ? this.transport.lend?.() : undefined;
  }

  /** Suspends the actor once it is idle. Then call `takeApart` or `stay`. */
  suspend(limitMs: number, version: number, done: SuspensionDone): void {
    this.#cell.suspend(limitMs, version, done);
  }

  /** The suspension takes too long: the connection goes on, if it isn't suspended. */
  suspensionOverdue(): void {
    this.#cell.suspensionOverdue();
  }

  /** True from a successful `suspend` until the connection moves, stays or ends. */
  get isSuspended(): boolean {
    return this.isOpen && this.#cell.isSuspended;
  }

  /** Values of the application, beside the actor's state, that move with the connection: they may not be cloneable. */
  get travellingValues(): unknown[] {
    return [this.session, ...this.#cell.timerArguments];
  }

  /** Resolves when a connection that came from another shard has all its topics, and may move on. */
  get hasArrived(): Promise<void> | undefined {
    return this.#subscriptions?.arrived;
  }

  /** The topics, which move with the connection. */
  get leaver(): TopicsLeaver {
    return this.#subscriptions?.leaver() ?? NO_TOPICS;
  }

  /** A connection that was to leave stays: if it is suspended, it goes on here with another actor object. */
  stay(): void {
    this.release();
    if (this.isSuspended) this.#cell.resumeHere();
  }

  /**
   * Takes a suspended connection apart: it has left this thread, and nothing is told to its actor. Returns undefined,
   * and changes nothing, if its socket has closed.
   *
   * @param actorState what `suspended` returned, as bytes
   * @param ticket names the connection in the bus's part of the move
   */
  takeApart(
    actorState: Uint8Array,
    ticket: Ticket | undefined,
  ): { readonly state: ConnectionState; readonly detached: Detached } | undefined {
    const detached = this.detach();
    if (detached === undefined) return undefined;
    const subscriptions = this.#subscriptions?.save() ?? { topics: [] };
    const cell = this.#cell.save(actorState);
    return {
      state: { ...detached.state, identity: this.identity, cell, subscriptions, ticket },
      detached: detached.detached,
    };
  }

  /**
   * Goes on where another connection was taken apart, in place of `open`. The transport begins with its `unread`.
   *
   * @param ended called once: with true if the actor's `resumed` failed, and closed the connection; with false if the
   * actor goes on, or if the connection has ended for another reason
   */
  resume(
    actorClass: ActorClass,
    { cell, subscriptions, ticket, ...state }: ConnectionState,
    ended: (isLost: boolean) => void,
  ): void {
    this.#resumeEnded = ended;
    if (messagesOf(actorClass) === "borrowed") this.inbound.borrow();
    this.load(state);
    if (subscriptions.topics.length > 0) {
      this.#subscriptions = new Subscriptions(this, this.host);
      this.#subscriptions.load(subscriptions, ticket);
    }
    this.#cell.load(actorClass, this, cell);
    this.inbound.goOn();
    this.transport.start(this.inbound);
  }

  // ── for the actor ──────────────────────────────────────────────────────────────────────────────────────

  get request(): ConnectionRequest {
    this.#request ??= new ConnectionRequest(this.identity, this.transport.remoteAddress);
    return this.#request;
  }

  get slowConsumerPolicy(): SlowConsumerPolicy {
    return this.outbound.policy;
  }

  set slowConsumerPolicy(policy: SlowConsumerPolicy) {
    this.outbound.policy = policy;
  }

  send(data: Sendable): SendResult {
    if (!(data instanceof Message)) return this.push(toFrame(data));
    return data.isLent() ? this.pushLent(data) : this.push(data);
  }

  whenDrained(): Promise<void> {
    return this.isOpen ? this.outbound.whenDrained() : Promise.resolve();
  }

  publish(topic: string, data: Sendable, options?: PublishOptions): PublishResult {
    this.hasSpoken = true;
    this.host.counters.add("publishes");
    return this.host.topics.publish(topic, toFrame(data), options, this);
  }

  subscribe(topic: string, options?: SubscribeOptions): Promise<Subscribed> {
    if (!this.isOpen) return Promise.resolve(NOTHING_KEPT);
    this.#subscriptions ??= new Subscriptions(this, this.host);
    return this.#subscriptions.add(topic, options);
  }

  unsubscribe(topic: string): void {
    this.#subscriptions?.remove(topic);
  }

  close(code: number = CloseCode.normal, reason = ""): void {
    checkClose(code, reason);
    this.startClosing(code, reason);
  }

  schedule(actor: object, delayMs: number, callback: () => unknown, repeats: boolean): () => void {
    return this.#cell.schedule(actor, delayMs, callback, repeats);
  }

  cancelTimers(method: string): number {
    return this.#cell.cancelTimers(method);
  }

  withoutConnection(): ActorContext {
    return new EndedContext(this.identity, this.request, this.host);
  }

  // ── for the bus ────────────────────────────────────────────────────────────────────────────────────────

  deliver(frame: Frame, topic: string, group?: BroadcastGroup): SendResult {
    return this.push(frame, topic, group);
  }

  setTopicPolicy(topic: string, policy: SlowConsumerPolicy | undefined): void {
    this.outbound.setTopicPolicy(topic, policy);
  }

  // ── for the feeds ──────────────────────────────────────────────────────────────────────────────────────

  deliverPublication(frame: Frame, topic: string, thins: boolean, group?: BroadcastGroup): SendResult {
    return this.push(frame, thins ? topic : undefined, group, true);
  }

  streamLost(topic: string, position: Position): void {
    this.#subscriptions?.forget(topic);
    this.#cell.notify({ kind: "notice", handler: "streamLost", topic, position });
  }

  encodeFailed(error: unknown, topic?: string): void {
    if (topic !== undefined) this.#subscriptions?.remove(topic);
    this.#cell.fail("encode", error);
  }

  subscriptionNotResumed(topic: string): void {
    reportNotResumed(this.host, this, topic);
  }

  presenceChanged(event: PresenceEvent): void {
    // The engine's report of this connection's own join arrives or not, depending on what else the shard wants: it is
    // left out.
    if (event.kind !== "missed" && event.member.address === this.address) return;
    this.#cell.notify({ kind: "notice", handler: "presenceChanged", event });
  }

  // ── for the mail ───────────────────────────────────────────────────────────────────────────────────────

  mailReceived(mail: Mail): MailVerdict {
    return this.#cell.mail(mail);
  }

  // ── for the shard ──────────────────────────────────────────────────────────────────────────────────────

  /** Describes the connection for operators. */
  describe(): ConnectionSnapshot {
    return snapshotOf(this, this.transport, this.#subscriptions?.size ?? 0);
  }

  /** Tells the actor that the board shuts down and will close the connection. */
  announceShutdown(): void {
    if (this.isOpen) this.#cell.announceShutdown();
  }

  /** Begins the close handshake once the actor's `shuttingDown` handler has finished. */
  closeForShutdown(code: number, reason: string): void {
    this.#cell.afterShutdownNotice(() => this.startClosing(code, reason));
  }

  // ── from the cell ──────────────────────────────────────────────────────────────────────────────────────

  actorFailed(handler: HandlerName, error: unknown, outcome: FailureOutcome): void {
    reportFailure(this.host, this, handler, error, outcome);
    const isLost = outcome === "stopped" || outcome === "escalated";
    if (handler === "resumed" && !isLost) this.#subscriptions?.resumed();
    this.#endResume(isLost);
    if (isLost) this.startClosing(CloseCode.internalError, "internal error");
    if (outcome === "escalated") this.host.escalate(error);
  }

  handlerTimedOut(handler: HandlerName, limitMs: number): void {
    reportTimeout(this.host, this, handler, limitMs);
  }

  actorEnded(): void {
    this.host.counters.add("actors", -1);
    this.host.actorEnded();
  }

  actorResumed(): void {
    this.#subscriptions?.resumed();
    this.#endResume(false);
  }

  #endResume(isLost: boolean): void {
    const ended = this.#resumeEnded;
    this.#resumeEnded = undefined;
    ended?.(isLost);
  }

  messagesAnswered(): void {
    this.answered();
  }

  mailboxHasRoom(): void {
    this.inbound.mailboxHasRoom();
  }

  mailUndelivered({ from }: Mail, reason: DeadLetterReason): void {
    this.host.mailUndelivered({ to: this.address, from, reason });
  }

  // ── from the endpoint ──────────────────────────────────────────────────────────────────────────────────

  protected get slowConsumerClose(): Closing {
    return this.#cell.slowConsumerClose;
  }

  protected get isAnswered(): boolean {
    return this.#cell.isAnswered;
  }

  protected endWaits(): void {
    this.#cell.peerEnded();
  }

  protected closingBegun(): void {
    this.#endResume(false);
    this.#cell.stop();
    this.#subscriptions?.leaveAll();
  }

  protected endReached({ code, reason }: Closing): void {
    this.#endResume(false);
    this.#subscriptions?.leaveAll();
    this.#cell.end(code, reason);
  }
}
