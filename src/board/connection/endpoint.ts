/**
 * The server's end of a WebSocket in a shard: its transport, its two halves, its heartbeat and its close handshake. The
 * endpoint knows no actor: `Connection` extends it by one.
 */
import type { Timed } from "../../runtime/scheduling/timer-wheel.ts";
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
import { Decoder } from "../../wire/protocol/decoding/decoder.ts";
import type { DeflateAgreement } from "../../wire/protocol/deflate/compression.ts";
import type { Deflater } from "../../wire/protocol/deflate/deflater.ts";
import { Inflater } from "../../wire/protocol/deflate/inflater.ts";
import { encodeClose, encodeLatin1, type Frame } from "../../wire/protocol/frame.ts";
import { Heartbeat } from "../../wire/protocol/heartbeat.ts";
import type { LentMessage } from "../../wire/protocol/message.ts";
import type { SendResult } from "../../wire/protocol/send-result.ts";
import type { SlowConsumerPolicy } from "../../wire/protocol/slow-consumer-policy.ts";
import { type Detached, isMovableTransport, type Transport } from "../../wire/transport/transport.ts";
import { ConnectionContext } from "./connection-context.ts";
import type { ConnectionHost, ConnectionIdentity } from "./connection-host.ts";
import type { EndpointState } from "./connection-state.ts";
import { countArrival, countClosed, countDeparture, reportEnd } from "./diagnostics.ts";
import { type ControlEvent, Inbound, type InboundOwner, type MessageSink } from "./inbound.ts";
import type { BroadcastGroup } from "./outbound/broadcast-group.ts";
import { Outbound, type OutboundOwner } from "./outbound/outbound.ts";

/**
 * The transport and the protocol state of one WebSocket, from the answer to the upgrade until the transport is gone.
 */
export abstract class Endpoint extends ConnectionContext implements InboundOwner, OutboundOwner, Timed {
  // Fields used on every delivery come first, behind the two of the base class: in a large fan-out each further cache
  // line is another miss.
  #phase: ClosePhase = "open";
  /** Undefined unless the handshake agreed on compression. */
  readonly #deflater: Deflater | undefined;
  protected readonly outbound: Outbound;
  protected readonly transport: Transport;
  /**
   * Code and reason of our close frame, in the phase `closingByUs`. In the phase `open` those of the peer's end, which
   * waits for the answers to the messages before it.
   */
  #closing: Closing | undefined;
  /** True once the peer's close frame arrived. */
  #peerClosed = false;
  readonly #heartbeat: Heartbeat;
  readonly #deflate: DeflateAgreement | undefined;
  deadline: number | undefined;
  place = -1;

  /** Receiving half, made by `receiveInto`. */
  protected abstract readonly inbound: Inbound;

  /** Code and reason with which a peer that reads too slowly is closed. */
  protected abstract readonly slowConsumerClose: Closing;

  constructor(
    transport: Transport,
    identity: ConnectionIdentity,
    host: ConnectionHost,
    deflate: DeflateAgreement | undefined,
  ) {
    super(identity, host);
    this.transport = transport;
    this.#deflate = deflate;
    this.#heartbeat = new Heartbeat(host.options, host.wheel.nowMs);
    this.#deflater = deflate && host.deflaters?.get(deflate.windowBits);
    this.outbound = new Outbound(transport, host, this);
  }

  /** Our close frame is about to be queued: no message follows in either direction. */
  protected abstract closingBegun(): void;

  /** True if no message of the peer waits or is being handled. */
  protected abstract readonly isAnswered: boolean;

  /** The peer's end waits until `isAnswered`: call `answered` then. The connection doesn't move any more. */
  protected abstract endWaits(): void;

  /** The connection has ended for the actor, with the code and reason for its `closed`. Called once. */
  protected abstract endReached(closing: Closing): void;

  /** Creates the receiving half, which gives the peer's messages to `messages`. */
  protected receiveInto(messages: MessageSink): Inbound {
    const { options, turns } = this.host;
    const { maxPayloadBytes, maxFragments } = options;
    const deflate = this.#deflate;
    const mayInflate = turns.hasTime;
    const decoder = new Decoder(
      deflate === undefined ? options : { maxPayloadBytes, maxFragments, inflater: new Inflater(deflate), mayInflate },
    );
    const parts = { heartbeat: this.#heartbeat, host: this.host, rates: options };
    return new Inbound(this.transport, decoder, parts, messages, this);
  }

  /** True while messages go in both directions. */
  protected get isOpen(): boolean {
    return this.#phase === "open";
  }

  /** True if the peer has ended, and the end waits for answers. */
  protected get isLeaving(): boolean {
    return this.#phase === "open" && this.#closing !== undefined;
  }

  /** Answers the upgrade request, and starts the heartbeat. */
  protected answer(answer: string): void {
    const { options, wheel } = this.host;
    if (options.pingIntervalMs > 0) wheel.schedule(this, options.pingIntervalMs);
    // First in the queue, and on the wire together with what the actor sends when it opens.
    this.outbound.pushControl(encodeLatin1(answer));
  }

  /** Resolves when the transport may be taken apart. A transport over a socket always may: undefined. */
  hold(): Promise<void> | undefined {
    return isMovableTransport(this.transport) ? this.transport.hold?.() : undefined;
  }

  /** The endpoint stays after all. */
  protected release(): void {
    if (isMovableTransport(this.transport)) this.transport.release?.();
  }

  /**
   * Takes the endpoint apart, for `load` in another thread. Returns undefined, and changes nothing, if its socket has
   * closed.
   */
  protected detach(): { readonly state: EndpointState; readonly detached: Detached } | undefined {
    this.outbound.flush();
    const detached = isMovableTransport(this.transport) ? this.transport.detach() : undefined;
    if (detached === undefined) return undefined;
    this.#phase = "closed";
    this.host.wheel.cancel(this);
    countDeparture(this.host, this);
    const { unread, unsent } = detached;
    const halves = { outbound: this.outbound.save(), inbound: this.inbound.save() };
    return { state: { deflate: this.#deflate, unread, unsent, ...halves }, detached };
  }

  /** Goes on where another endpoint was taken apart, in place of `answer`. The transport begins with its `unread`. */
  protected load({ unsent, inbound, outbound }: EndpointState): void {
    const { options, wheel } = this.host;
    for (const { buffer, byteOffset, byteLength } of unsent) {
      this.transport.write(Buffer.from(buffer, byteOffset, byteLength));
    }
    this.outbound.load(outbound);
    const beatInMs = this.inbound.load(inbound);
    if (options.pingIntervalMs > 0) wheel.schedule(this, beatInMs);
    countArrival(this.host, this);
  }

  /** Compresses and queues a frame. A compressed frame may be dropped: the next frame needs no frame before it. */
  protected push(uncompressed: Frame, topic?: string, group?: BroadcastGroup, isKept = false): SendResult {
    if (this.#phase !== "open") return "closed";
    const frame = this.#deflater === undefined ? uncompressed : this.#deflater.compress(uncompressed);
    const result = this.outbound.push(frame, topic, frame === uncompressed ? group : undefined, isKept);
    return this.#pushed(frame, result);
  }

  /** Sends a message of lent memory. */
  protected pushLent(message: LentMessage): SendResult {
    if (this.#phase !== "open") return "closed";
    if (this.#deflater !== undefined) return this.push(message.toOwned());
    return this.#pushed(message, this.outbound.pushLent(message));
  }

  #pushed(frame: Frame, result: SendResult | "refused"): SendResult {
    if (result === "dropped") return result;
    if (result === "refused") {
      this.host.counters.add("slowConsumersClosed");
      this.#end(failed(this.#phase, this.slowConsumerClose));
      return "closed";
    }
    this.host.flushQueue.countSent(frame.end - frame.start);
    return result;
  }

  /** Begins the close handshake. Returns false if the close handshake had begun already. */
  startClosing(code: number, reason: string): boolean {
    if (this.#phase !== "open") return false;
    const peers = this.#closing;
    this.#phase = "closingByUs";
    this.#closing = { code, reason };
    this.closingBegun();
    this.outbound.pushLast(encodeClose(code, reason));
    this.host.wheel.schedule(this, this.host.options.closeTimeoutMs);
    this.inbound.ignoreMessages();
    if (peers !== undefined) this.#endByPeer(peers);
    return true;
  }

  /** Ends the connection without a close handshake. */
  destroy(): void {
    this.transport.destroy();
  }

  // ── from the transport, by way of `Inbound` ────────────────────────────────────────────────────────────

  drained(): void {
    this.#heartbeat.heard(this.host.wheel.nowMs);
    this.outbound.drained();
  }

  /**
   * The peer ended its direction, and may still read ours. After a close handshake our end is on its way already.
   * Without a close frame the connection is lost, but what was sent before still leaves. The end may come in the same
   * read as the last messages, and their handlers may answer in microtasks: so the connection ends after this turn. A
   * crowd of peers that leave at once doesn't delay those that stay.
   */
  ended(): void {
    if (this.#phase === "ending" || this.#phase === "closed") return;
    this.host.turns.addBackground({ takeTurn: () => this.#peerEnded(LOST) });
  }

  /** The peer's end comes after the messages before it: their handlers run first, and their answers leave. */
  #peerEnded(closing: Closing): void {
    if (this.isLeaving || this.#phase === "ending" || this.#phase === "closed") return;
    if (this.#phase === "closingByUs" || this.isAnswered) {
      this.#endByPeer(closing);
      return;
    }
    this.#closing = closing;
    this.host.wheel.schedule(this, lingerMs(this.host.options.closeTimeoutMs));
    this.endWaits();
  }

  #endByPeer(closing: Closing): void {
    const ours = this.#phase === "closingByUs" ? this.#closing : undefined;
    this.#end(this.#peerClosed ? closedByPeer("server", ours, closing) : endedByPeer());
  }

  /** No message of the peer waits for its answer. */
  protected answered(): void {
    if (this.isLeaving) this.#endByPeer(this.#closing as Closing);
  }

  closed(): void {
    this.#finish(LOST);
    this.outbound.closed();
    this.#phase = "closed";
    this.host.wheel.cancel(this);
    countClosed(this.host, this);
    this.host.connectionClosed(this, this.#peerClosed);
  }

  // ── from what is received and sent ─────────────────────────────────────────────────────────────────────

  controlReceived(event: ControlEvent): void {
    switch (event.kind) {
      case "ping":
        if (this.#phase === "open") this.outbound.pong(event.payload);
        return;
      case "pong":
        return;
      case "close":
        this.#peerClosed = true;
        this.#peerEnded(event);
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
    if (this.isLeaving) {
      this.#endByPeer(this.#closing as Closing);
      return;
    }
    if (this.#phase !== "open") {
      this.transport.destroy();
      return;
    }
    const beat = this.#heartbeat.beat(this.host.wheel.nowMs, this.inbound.reading);
    if (beat.verdict === "lost") {
      this.transport.destroy();
      return;
    }
    if (beat.verdict === "ping") this.outbound.ping();
    this.host.wheel.schedule(this, beat.againInMs);
  }

  /**
   * The end is decided. Everything queued leaves, then our direction ends, then the peer has a moment to end its own.
   */
  #end({ frame, closing }: ClosingStep): void {
    if (frame !== undefined) this.outbound.pushLast(frame);
    this.#finish(closing);
    this.outbound.flush();
    this.transport.end();
    this.host.wheel.schedule(this, lingerMs(this.host.options.closeTimeoutMs));
    this.inbound.ignoreBytes();
  }

  /** The connection has ended for the actor; only the first call counts. */
  #finish(closing: Closing): void {
    if (this.#phase === "ending" || this.#phase === "closed") return;
    // The phase changes first, so that the actor's `closed` finds the connection closed. Decoding ends with the phase:
    // the actor may empty its mailbox in `endReached`, and room in the mailbox would let the decoder go on.
    this.#phase = "ending";
    this.inbound.close();
    reportEnd(this.host, this, closing);
    this.outbound.giveUp();
    this.endReached(closing);
  }
}
