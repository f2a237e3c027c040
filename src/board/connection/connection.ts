/**
 * One WebSocket in a shard. The shard creates one `Connection` for each socket that it adopts.
 */
import type { ActorClass } from "../../runtime/actor/actor.ts";
import { ActorCell } from "../../runtime/actor/actor-cell.ts";
import type { ActorCellOwner } from "../../runtime/actor/cell-host.ts";
import type { ActorContext, PublishOptions } from "../../runtime/actor/context/actor-context.ts";
import { ConnectionRequest } from "../../runtime/actor/context/connection-request.ts";
import type { PublishResult } from "../../runtime/actor/context/publish-result.ts";
import type { DeadLetterReason, Mail, MailVerdict } from "../../runtime/actor/mail.ts";
import type { StayReason, SuspensionDone } from "../../runtime/actor/moving/suspension.ts";
import type { FailureOutcome } from "../../runtime/actor/supervision.ts";
import type { HandlerName } from "../../runtime/actor/work.ts";
import type { Subscriber } from "../../runtime/bus/audience.ts";
import type { BusSubscription, Ticket } from "../../runtime/bus/moving/move.ts";
import type { FeedMember } from "../../runtime/feeds/feeds.ts";
import type { Timed } from "../../runtime/scheduling/timer-wheel.ts";
import type { Position } from "../../runtime/streams/position.ts";
import { NOTHING_KEPT, type Subscribed, type SubscribeOptions } from "../../runtime/streams/subscribe.ts";
import type { PresenceEvent } from "../../runtime/streams/topic-memory.ts";
import { checkClose } from "../../wire/protocol/check-close.ts";
import { CloseCode } from "../../wire/protocol/close-code.ts";
import {
  type ClosePhase,
  type Closing,
  type ClosingStep,
  closedByPeer,
  endedByPeer,
  failed,
  LOST,
  lingerMs,
} from "../../wire/protocol/close-handshake.ts";
import { Decoder } from "../../wire/protocol/decoder.ts";
import type { DeflateAgreement } from "../../wire/protocol/deflate/compression.ts";
import type { Deflater } from "../../wire/protocol/deflate/deflater.ts";
import { Inflater } from "../../wire/protocol/deflate/inflater.ts";
import { encodeClose, encodeLatin1, type Frame } from "../../wire/protocol/frame.ts";
import { Heartbeat } from "../../wire/protocol/heartbeat.ts";
import { type Sendable, toFrame } from "../../wire/protocol/message.ts";
import type { SendResult } from "../../wire/protocol/send-result.ts";
import type { SlowConsumerPolicy } from "../../wire/protocol/slow-consumer-policy.ts";
import { type DetachedSocket, isMovableTransport, type Transport } from "../../wire/transport/transport.ts";
import { ConnectionContext } from "./connection-context.ts";
import type { ConnectionHost, ConnectionIdentity } from "./connection-host.ts";
import { type ConnectionSnapshot, snapshotOf } from "./connection-info.ts";
import type { ConnectionState } from "./connection-state.ts";
import {
  countArrival,
  countClosed,
  countDeparture,
  reportEnd,
  reportFailure,
  reportOpening,
  reportTimeout,
} from "./diagnostics.ts";
import { EndedContext } from "./ended-context.ts";
import { type ControlEvent, Inbound, type InboundOwner } from "./inbound.ts";
import type { BroadcastGroup } from "./outbound/broadcast-group.ts";
import { Outbound, type OutboundOwner } from "./outbound/outbound.ts";
import type { ShutdownTarget } from "./shutdown-target.ts";
import { Subscriptions } from "./subscriptions.ts";

/** One WebSocket in a shard: transport, protocol state, mailbox and actor, put together. */
export class Connection
  extends ConnectionContext
  implements ActorContext, ActorCellOwner, ShutdownTarget, InboundOwner, OutboundOwner, Subscriber, FeedMember, Timed
{
  // Fields used on every delivery come first, behind the two of the base class: in a large fan-out each further cache
  // line is another miss.
  #phase: ClosePhase = "open";
  /** Undefined unless the handshake agreed on compression. */
  readonly #deflater: Deflater | undefined;
  readonly #outbound: Outbound;
  readonly #transport: Transport;
  readonly #inbound: Inbound;
  readonly #cell: ActorCell;
  /** Created on the first `subscribe`. */
  #subscriptions: Subscriptions | undefined;
  /** Created when the actor first reads `request`. */
  #request: ConnectionRequest | undefined;
  /** Code and reason of our close frame; set in the phase `closingByUs`. */
  #closing: Closing | undefined;
  /** True once the peer's close frame arrived. */
  #peerClosed = false;
  readonly #heartbeat: Heartbeat;
  readonly #deflate: DeflateAgreement | undefined;
  deadline: number | undefined;
  place = -1;

  constructor(
    transport: Transport,
    identity: ConnectionIdentity,
    host: ConnectionHost,
    deflate?: DeflateAgreement | undefined,
  ) {
    super(identity, host);
    const { options } = host;
    this.#transport = transport;
    this.#deflate = deflate;
    const { maxPayloadBytes, maxFragments } = options;
    const mayInflate = host.turns.hasTime;
    const decoder = new Decoder(
      deflate === undefined ? options : { maxPayloadBytes, maxFragments, inflater: new Inflater(deflate), mayInflate },
    );
    this.#heartbeat = new Heartbeat(options, host.wheel.nowMs);
    this.#deflater = deflate && host.deflaters?.get(deflate.windowBits);
    this.#outbound = new Outbound(transport, host, this);
    this.#cell = new ActorCell(host.cells, this);
    const parts = { heartbeat: this.#heartbeat, host, rates: options };
    this.#inbound = new Inbound(transport, decoder, parts, this.#cell, this);
  }

  /** Answers the peer, constructs the actor, opens it, and begins to read. */
  open(actorClass: ActorClass, answer: string): void {
    const { options, wheel } = this.host;
    if (options.pingIntervalMs > 0) wheel.schedule(this, options.pingIntervalMs);
    // First in the queue, and on the wire together with what the actor sends when it opens.
    this.#outbound.pushControl(encodeLatin1(answer));
    reportOpening(this.host, this);
    this.#cell.open(actorClass, this);
    this.#transport.start(this.#inbound);
  }

  // ── for the shard, when it moves to another ────────────────────────────────────────────────────────────

  /** Why the connection can't move, ever or now; undefined if it can, as far as this can be told. */
  get stayReason(): StayReason | undefined {
    if (this.#phase !== "open") return "closing";
    return isMovableTransport(this.#transport) ? this.#subscriptions?.stayReason : "transport";
  }

  /** Suspends the actor once it is idle. Then call `takeApart` or `stay`. */
  suspend(limitMs: number, version: number, done: SuspensionDone): void {
    this.#cell.suspend(limitMs, version, done);
  }

  /** True from a successful `suspend` until the connection moves, stays or ends. */
  get isSuspended(): boolean {
    return this.#phase === "open" && this.#cell.isSuspended;
  }

  /** Values of the application, beside the actor's state, that move with the connection: they may not be cloneable. */
  get travellingValues(): unknown[] {
    return [this.session, ...this.#cell.timerArguments];
  }

  /** Resolves when a connection that came from another shard has all its topics, and may move on. */
  get hasArrived(): Promise<void> | undefined {
    return this.#subscriptions?.arrived;
  }

  /** Returns the subscriptions of the bus, which move with the connection. */
  get busSubscriptions(): readonly BusSubscription[] {
    return this.#subscriptions?.leaver() ?? [];
  }

  /** The suspended connection goes on here, with another actor object. */
  stay(): void {
    this.#cell.resumeHere();
  }

  /**
   * Takes a suspended connection apart: it has left this thread, and nothing is told to its actor. Returns undefined, and
   * changes nothing, if its socket has closed.
   *
   * @param actorState what `suspended` returned, as bytes
   * @param ticket names the connection in the bus's part of the move
   */
  takeApart(
    actorState: Uint8Array,
    ticket: Ticket | undefined,
  ): { readonly state: ConnectionState; readonly socket: DetachedSocket } | undefined {
    this.#outbound.flush();
    const socket = isMovableTransport(this.#transport) ? this.#transport.detach() : undefined;
    if (socket === undefined) return undefined;
    this.#phase = "closed";
    this.host.wheel.cancel(this);
    countDeparture(this.host, this);
    const outbound = this.#outbound.save();
    const subscriptions = this.#subscriptions?.save() ?? { topics: [] };
    const state = {
      identity: this.identity,
      deflate: this.#deflate,
      unread: socket.unread,
      unsent: socket.unsent,
      inbound: this.#inbound.save(),
      outbound,
      cell: this.#cell.save(actorState),
      subscriptions,
      ticket,
    };
    return { state, socket };
  }

  /** Goes on where another connection was taken apart, in place of `open`. The transport begins with its `unread`. */
  resume(actorClass: ActorClass, { unsent, inbound, outbound, cell, subscriptions, ticket }: ConnectionState): void {
    const { options, wheel } = this.host;
    for (const { buffer, byteOffset, byteLength } of unsent) {
      this.#transport.write(Buffer.from(buffer, byteOffset, byteLength));
    }
    this.#outbound.load(outbound);
    const beatInMs = this.#inbound.load(inbound);
    if (options.pingIntervalMs > 0) wheel.schedule(this, beatInMs);
    countArrival(this.host, this);
    if (subscriptions.topics.length > 0) {
      this.#subscriptions = new Subscriptions(this, this.host);
      this.#subscriptions.load(subscriptions, ticket);
    }
    this.#cell.load(actorClass, this, cell);
    this.#inbound.goOn();
    this.#transport.start(this.#inbound);
  }

  // ── for the actor ──────────────────────────────────────────────────────────────────────────────────────

  get request(): ConnectionRequest {
    this.#request ??= new ConnectionRequest(this.identity, this.#transport.remoteAddress);
    return this.#request;
  }

  get slowConsumerPolicy(): SlowConsumerPolicy {
    return this.#outbound.policy;
  }

  set slowConsumerPolicy(policy: SlowConsumerPolicy) {
    this.#outbound.policy = policy;
  }

  send(data: Sendable): SendResult {
    const frame = toFrame(data);
    return this.#phase === "open" ? this.#push(frame) : "closed";
  }

  whenDrained(): Promise<void> {
    return this.#phase === "open" ? this.#outbound.whenDrained() : Promise.resolve();
  }

  publish(topic: string, data: Sendable, options?: PublishOptions): PublishResult {
    this.host.counters.add("publishes");
    return this.host.topics.publish(topic, toFrame(data), options, this);
  }

  subscribe(topic: string, options?: SubscribeOptions): Promise<Subscribed> {
    if (this.#phase !== "open") return Promise.resolve(NOTHING_KEPT);
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

  withoutConnection(): ActorContext {
    return new EndedContext(this.identity, this.request, this.host);
  }

  // ── for the bus ────────────────────────────────────────────────────────────────────────────────────────

  deliver(frame: Frame, topic: string, group?: BroadcastGroup): SendResult {
    return this.#phase === "open" ? this.#push(frame, topic, group) : "closed";
  }

  setTopicPolicy(topic: string, policy: SlowConsumerPolicy | undefined): void {
    this.#outbound.setTopicPolicy(topic, policy);
  }

  // ── for the feeds ──────────────────────────────────────────────────────────────────────────────────────

  deliverPublication(frame: Frame, topic: string, thins: boolean, group?: BroadcastGroup): SendResult {
    return this.#phase === "open" ? this.#push(frame, thins ? topic : undefined, group, true) : "closed";
  }

  streamLost(topic: string, position: Position): void {
    this.#subscriptions?.forget(topic);
    this.#cell.notify({ kind: "notice", handler: "streamLost", topic, position });
  }

  encodeFailed(error: unknown, topic?: string): void {
    if (topic !== undefined) this.#subscriptions?.remove(topic);
    this.#cell.fail("encode", error);
  }

  presenceChanged(event: PresenceEvent): void {
    // Whether the engine's report of this connection's own join arrives depends on what else the shard wants.
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
    return snapshotOf(this, this.#transport, this.#subscriptions?.size ?? 0);
  }

  /** Begins the close handshake. Returns false if the close handshake had begun already. */
  startClosing(code: number, reason: string): boolean {
    if (this.#phase !== "open") return false;
    this.#phase = "closingByUs";
    this.#closing = { code, reason };
    this.#cell.stop();
    this.#subscriptions?.leaveAll();
    this.#outbound.pushLast(encodeClose(code, reason));
    this.host.wheel.schedule(this, this.host.options.closeTimeoutMs);
    this.#inbound.ignoreMessages();
    return true;
  }

  /** Tells the actor that the board shuts down and will close the connection. */
  announceShutdown(): void {
    if (this.#phase === "open") this.#cell.announceShutdown();
  }

  /** Begins the close handshake once the actor's `shuttingDown` handler has finished. */
  closeForShutdown(code: number, reason: string): void {
    this.#cell.afterShutdownNotice(() => this.startClosing(code, reason));
  }

  /** Ends the connection without a close handshake. */
  destroy(): void {
    this.#transport.destroy();
  }

  // ── from the transport, by way of `Inbound` ────────────────────────────────────────────────────────────

  drained(): void {
    this.#heartbeat.heard(this.host.wheel.nowMs);
    this.#outbound.drained();
  }

  /**
   * The peer ended its direction, and may still read ours. After a close handshake our end is on its way already.
   * Without a close frame the connection is lost, but what was sent before still leaves. The end may come in the same
   * read as the last messages, and their handlers may answer in microtasks: so the connection ends after this turn. A
   * crowd of peers that leave at once doesn't delay those that stay.
   */
  ended(): void {
    const takeTurn = (): void => {
      if (this.#phase === "open" || this.#phase === "closingByUs") this.#end(endedByPeer());
    };
    this.host.turns.addBackground({ takeTurn });
  }

  closed(): void {
    this.#finish(LOST);
    this.#phase = "closed";
    this.host.wheel.cancel(this);
    countClosed(this.host, this);
    this.host.connectionClosed(this, this.#peerClosed);
  }

  // ── from the cell ──────────────────────────────────────────────────────────────────────────────────────

  actorFailed(handler: HandlerName, error: unknown, outcome: FailureOutcome): void {
    reportFailure(this.host, this, handler, error, outcome);
    if (outcome === "stopped" || outcome === "escalated") this.startClosing(CloseCode.internalError, "internal error");
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
  }

  mailboxHasRoom(): void {
    this.#inbound.mailboxHasRoom();
  }

  mailUndelivered({ from }: Mail, reason: DeadLetterReason): void {
    this.host.mailUndelivered({ to: this.address, from, reason });
  }

  // ── from what is received and sent ─────────────────────────────────────────────────────────────────────

  controlReceived(event: ControlEvent): void {
    switch (event.kind) {
      case "ping":
        if (this.#phase === "open") this.#outbound.pong(event.payload);
        return;
      case "pong":
        return;
      case "close":
        this.#peerClosed = true;
        this.#end(closedByPeer("server", this.#closing, event));
        return;
      case "violation":
        this.host.counters.add("violations");
        this.#end(failed(this.#phase, { code: event.closeCode, reason: event.reason }));
        return;
    }
  }

  rateExceeded(): void {
    this.host.counters.add("rateLimited");
    if (this.host.options.rateLimitPolicy !== "close") return;
    this.#end(failed(this.#phase, { code: CloseCode.policyViolation, reason: "sends too much" }));
  }

  boundReached(policy: SlowConsumerPolicy, bufferedBytes: number): void {
    this.host.events.report("slowConsumer", { id: this.address, actor: this.actor, policy, bufferedBytes });
  }

  // ── from the wheel: the only timer of a connection, for its heartbeat or for its end ───────────────────

  expired(): void {
    if (this.#phase !== "open") {
      this.#transport.destroy();
      return;
    }
    const beat = this.#heartbeat.beat(this.host.wheel.nowMs, this.#inbound.reading);
    if (beat.verdict === "lost") {
      this.#transport.destroy();
      return;
    }
    if (beat.verdict === "ping") this.#outbound.ping();
    this.host.wheel.schedule(this, beat.againInMs);
  }

  // ── inside ─────────────────────────────────────────────────────────────────────────────────────────────

  /** Compresses and queues a frame. A compressed frame may be dropped: the next frame needs no frame before it. */
  #push(uncompressed: Frame, topic?: string, group?: BroadcastGroup, isKept = false): SendResult {
    const frame = this.#deflater === undefined ? uncompressed : this.#deflater.compress(uncompressed);
    const result = this.#outbound.push(frame, topic, frame === uncompressed ? group : undefined, isKept);
    if (result === "dropped") return result;
    if (result === "refused") {
      this.host.counters.add("slowConsumersClosed");
      this.#end(failed(this.#phase, this.#cell.slowConsumerClose));
      return "closed";
    }
    this.host.counters.add("messagesSent");
    this.host.counters.add("bytesSent", frame.end - frame.start);
    return result;
  }

  /**
   * The end is decided. Everything queued leaves, then our direction ends, then the peer has a moment to end its own.
   */
  #end({ frame, closing }: ClosingStep): void {
    if (frame !== undefined) this.#outbound.pushLast(frame);
    this.#finish(closing);
    this.#outbound.flush();
    this.#transport.end();
    this.host.wheel.schedule(this, lingerMs(this.host.options.closeTimeoutMs));
    this.#inbound.ignoreBytes();
  }

  /** The connection has ended for the actor; only the first call counts. */
  #finish(closing: Closing): void {
    if (this.#phase === "ending" || this.#phase === "closed") return;
    // The phase changes first, so that the actor's `closed` finds the connection closed. Decoding ends with the phase:
    // the actor may empty its mailbox in `end`, and room in the mailbox would let the decoder go on.
    this.#phase = "ending";
    this.#inbound.close();
    reportEnd(this.host, this, closing);
    this.#subscriptions?.leaveAll();
    this.#outbound.giveUp();
    this.#cell.end(closing.code, closing.reason);
  }
}
