import type { Duplex } from "node:stream";
import type { ReadableStream, WritableStream } from "node:stream/web";
import { SwitchboardError } from "../../errors.ts";
import { checkClose } from "../protocol/check-close.ts";
import { CloseCode } from "../protocol/close-code.ts";
import {
  type ClosePhase,
  type Closing,
  type ClosingStep,
  closedByPeer,
  failed,
  LOST,
  lingerMs,
} from "../protocol/close-handshake.ts";
import { type Close, Decoder, type Ping, type Pong } from "../protocol/decoder.ts";
import { Inflater } from "../protocol/deflate/inflater.ts";
import { encodeClose, encodeFrame } from "../protocol/frame.ts";
import { Heartbeat } from "../protocol/heartbeat.ts";
import { type Message, type Sendable, toFrame } from "../protocol/message.ts";
import { Opcode } from "../protocol/opcode.ts";
import type { Role } from "../protocol/role.ts";
import type { SendResult } from "../protocol/send-result.ts";
import type { Violation } from "../protocol/violation.ts";
import type { Downcast } from "../upgrade/upgraded.ts";
import { type Agreement, deflaterFor } from "./agreement.ts";
import { Inbox } from "./inbox.ts";
import type { WebSocketSettings } from "./options.ts";
import { Outbound } from "./outbound.ts";
import { Pings } from "./pings.ts";
import { closedError, readableOf, type StreamedSocket, writableOf } from "./streams.ts";

/** How a WebSocket ended. */
export interface Closed {
  /** The peer's code if it closed first (1005 for none), ours if we did, 1006 when the connection was lost. */
  readonly code: number;
  readonly reason: string;
  /** Whether close frames went both ways. */
  readonly wasClean: boolean;
}

/** The heartbeat's ping: no promise waits for its pong. */
const PING = encodeFrame(Opcode.ping, Buffer.alloc(0));

/**
 * One WebSocket over a byte stream, in the thread that it is made in. It comes from `upgradeConnection` or `connect`.
 *
 * Iterating it gives its messages. Up to `inboxLimit` of them wait for their reader; then the stream isn't read, and a
 * peer that goes on sending is stopped by TCP. Leaving the loop doesn't close: a later loop goes on with the next
 * message. Iteration is done when the connection ends, however it ends: peers vanish every day. `closed` and `error`
 * tell how it was.
 */
export class WebSocket implements AsyncIterable<Message>, StreamedSocket {
  /** The subprotocol agreed on, or "". */
  readonly protocol: string;
  /** The extensions agreed on, as the header says it, or "". */
  readonly extensions: string;
  /** Resolves when the connection is gone; never rejects. */
  readonly closed: Promise<Closed>;

  readonly #stream: Duplex;
  readonly #role: Role;
  readonly #settings: WebSocketSettings;
  readonly #decoder: Decoder;
  readonly #inbox: Inbox;
  readonly #outbound: Outbound;
  readonly #pings = new Pings();
  readonly #heartbeat: Heartbeat;
  readonly #resolveClosed: (closed: Closed) => void;
  #phase: ClosePhase = "open";
  /** What our close frame said, in `closingByUs`. */
  #closing: Closing | undefined;
  #result: Closed | undefined;
  #error: SwitchboardError | undefined;
  #reading = true;
  /** The peer's last event, while those who answer the messages before it have their turn. */
  #last: Close | Violation | undefined;
  #closeTimer: NodeJS.Timeout | undefined;
  #heartbeatTimer: NodeJS.Timeout | undefined;
  #readable: ReadableStream<Message> | undefined;
  #writable: WritableStream<Sendable> | undefined;

  /** Takes the stream over: from now on it is closed here. */
  constructor({ socket, readBuffer }: Downcast, agreement: Agreement, settings: WebSocketSettings) {
    this.protocol = agreement.protocol;
    this.extensions = agreement.extensions;
    this.#role = agreement.role;
    this.#stream = socket;
    this.#settings = settings;
    const { promise, resolve } = Promise.withResolvers<Closed>();
    this.closed = promise;
    this.#resolveClosed = resolve;
    const { maxPayloadBytes, maxFragments } = settings;
    const inflater = agreement.deflate && new Inflater(agreement.deflate);
    const deflater = agreement.deflate && settings.compression && deflaterFor(agreement.deflate, settings.compression);
    this.#decoder = new Decoder({ role: agreement.role, maxPayloadBytes, maxFragments, inflater });
    this.#inbox = new Inbox(settings, () => this.#inboxDrained());
    this.#outbound = new Outbound(socket, {
      role: agreement.role,
      maxBufferedBytes: settings.maxBufferedBytes,
      deflater,
    });
    this.#heartbeat = new Heartbeat(settings, performance.now());
    if (settings.pingIntervalMs > 0) this.#beatAfter(settings.pingIntervalMs);

    // What an error means is told by the close that follows.
    socket.on("error", () => {}).on("end", () => this.#handleEnd());
    if (socket.closed) process.nextTick(() => this.#handleStreamClosed());
    else socket.on("close", () => this.#handleStreamClosed());
    if (readBuffer.length > 0) this.#received(readBuffer);
    socket.on("data", (chunk: Buffer) => this.#received(chunk));
    // A peer that takes bytes is there, even if it says nothing.
    socket.on("drain", () => this.#heartbeat.heard(performance.now()));
    if (this.#reading) socket.resume();
    else socket.pause();
  }

  // ── receiving ──────────────────────────────────────────────────────────────────────────────────────────

  /** False while the inbox is full: the peer then has to wait. */
  get reading(): boolean {
    return this.#reading;
  }

  /** The next message: what iteration calls. */
  next(): Promise<IteratorResult<Message, undefined>> {
    return this.#inbox.next();
  }

  [Symbol.asyncIterator](): AsyncIterator<Message, undefined> {
    return { next: () => this.#inbox.next() };
  }

  /**
   * The messages as a web stream. Each message goes to one reader, of this or of an iteration. Cancelling it closes the
   * WebSocket. Unlike iteration it fails, with `error`, when the connection was lost: a pipe must not take that for the
   * end.
   */
  get readable(): ReadableStream<Message> {
    this.#readable ??= readableOf(this);
    return this.#readable;
  }

  // ── sending ────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Sends a string as text, bytes as binary, a message as it came. Await it for backpressure: it resolves when there is
   * room for more. It never rejects; for anything that can't be sent it throws a TypeError.
   */
  send(data: Sendable): Promise<SendResult> {
    const frame = toFrame(data);
    return this.#phase === "open" ? this.#outbound.send(frame) : Promise.resolve("closed");
  }

  /** `send` as a web stream. Closing it closes the WebSocket, aborting it closes it with 1011. */
  get writable(): WritableStream<Sendable> {
    this.#writable ??= writableOf(this);
    return this.#writable;
  }

  /** Bytes sent that the operating system hasn't taken yet. */
  get bufferedBytes(): number {
    return this.#outbound.bufferedBytes;
  }

  /**
   * Asks the peer for a sign of life and resolves with the round-trip time in milliseconds. The pong is seen only while
   * messages are read. Rejects with `ERR_CLOSED` when the connection ends first, `ERR_TOO_MANY_PINGS` when 128 are
   * under way.
   */
  ping(): Promise<number> {
    const { payload, answered } = this.#phase === "open" ? this.#pings.begin() : Pings.failed(closedError());
    if (payload !== undefined) this.#outbound.sendControl(encodeFrame(Opcode.ping, payload));
    return answered;
  }

  // ── closing ────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Begins the close handshake, after what was sent before. Messages that come from now on are dropped. `closed` tells
   * when it is over: after `closeTimeoutMs` at the latest. Does nothing when it is closing already.
   *
   * Throws `ERR_CLOSE_CODE` or `ERR_CLOSE_REASON` for what can't be sent (RFC 6455 sections 7.4 and 5.5).
   */
  close(code: number = CloseCode.normal, reason = ""): void {
    checkClose(code, reason);
    if (this.#phase !== "open") return;
    this.#phase = "closingByUs";
    this.#closing = { code, reason };
    clearTimeout(this.#heartbeatTimer);
    this.#inbox.end();
    this.#outbound.sendClose(encodeClose(code, reason));
    this.#destroyAfter(this.#settings.closeTimeoutMs);
    // The peer's close frame may be among what the full inbox held back.
    if (!this.#reading) this.#decode();
    this.#resumeReading();
  }

  /**
   * What ended the connection when that was no close handshake: `ERR_CONNECTION_LOST`, or the peer's violation of the
   * protocol by its code; else undefined.
   */
  get error(): SwitchboardError | undefined {
    return this.#error;
  }

  /** Closes it at once, without a handshake. */
  destroy(): void {
    this.#stream.destroy();
  }

  /** `await using`: closes it and waits for the end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.closed;
  }

  // ── heartbeat ──────────────────────────────────────────────────────────────────────────────────────────

  #beatAfter(ms: number): void {
    this.#heartbeatTimer = setTimeout(() => this.#beat(), Math.max(1, ms)).unref();
  }

  #beat(): void {
    const beat = this.#heartbeat.beat(performance.now(), this.#reading);
    if (beat.verdict === "lost") {
      this.#stream.destroy();
      return;
    }
    // While bytes wait for the peer, a ping would only wait behind them.
    if (beat.verdict === "ping" && this.bufferedBytes === 0) this.#outbound.sendControl(PING);
    this.#beatAfter(beat.againInMs);
  }

  // ── from the stream ────────────────────────────────────────────────────────────────────────────────────

  #received(chunk: Buffer): void {
    this.#heartbeat.heard(performance.now());
    // Once the end is decided, input is only taken off the wire.
    if (this.#phase !== "open" && this.#phase !== "closingByUs") return;
    this.#decoder.feed(chunk);
    this.#decode();
  }

  #handleEnd(): void {
    this.#conclude();
    if (this.#phase === "ending") this.#outbound.end();
    // A peer that ends its direction without a close frame is gone.
    else this.#stream.destroy();
  }

  #handleStreamClosed(): void {
    this.#conclude();
    const message = "the connection ended without a close handshake";
    const lost = new SwitchboardError("ERR_CONNECTION_LOST", message);
    this.#finish({ ...LOST, wasClean: false }, lost);
    this.#phase = "closed";
    clearTimeout(this.#closeTimer);
    this.#outbound.closed();
    this.#resolveClosed(this.#result as Closed);
  }

  // ── inside ─────────────────────────────────────────────────────────────────────────────────────────────

  /** Takes events from the decoder for as long as the inbox takes messages. */
  #decode(): void {
    let delivered = false;
    while (this.#phase === "open" || this.#phase === "closingByUs") {
      if (this.#phase === "open" && this.#inbox.full) {
        this.#decoder.suspend();
        this.#reading = false;
        this.#stream.pause();
        return;
      }
      const event = this.#decoder.next();
      if (event === undefined) return;
      if (event.kind === "close" || event.kind === "violation") {
        this.#last = event;
        // Readers get their messages in microtasks: an answer that they send at once still goes out, before our close
        // frame.
        if (delivered) setImmediate(() => this.#conclude());
        else this.#conclude();
        return;
      }
      delivered ||= event.kind === "message";
      this.#handle(event);
    }
  }

  #handle(event: Message | Ping | Pong): void {
    switch (event.kind) {
      case "message":
        this.#inbox.push(event);
        return;
      case "ping":
        if (this.#phase === "open") this.#outbound.sendControl(encodeFrame(Opcode.pong, event.payload));
        return;
      case "pong":
        this.#pings.pong(event.payload);
        return;
    }
  }

  #conclude(): void {
    const last = this.#last;
    this.#last = undefined;
    if (last?.kind === "close") this.#handleClose(last);
    else if (last !== undefined) this.#handleViolation(last);
  }

  #handleClose(close: Close): void {
    this.#end(closedByPeer(this.#role, this.#closing, close), undefined);
  }

  #handleViolation({ code, closeCode, reason }: Violation): void {
    const error = new SwitchboardError(code, `the peer broke the protocol: ${reason}`);
    this.#end(failed(this.#phase, { code: closeCode, reason }), error);
  }

  #end({ frame, closing, wasClean, endsTransport }: ClosingStep, error: SwitchboardError | undefined): void {
    if (frame !== undefined) this.#outbound.sendClose(frame);
    this.#finish({ ...closing, wasClean }, error);
    if (endsTransport) this.#outbound.end();
    // What is queued leaves, then the peer has a moment to end its direction.
    this.#destroyAfter(lingerMs(this.#settings.closeTimeoutMs));
    this.#resumeReading();
  }

  /** The connection has ended for its reader; only the first call counts. */
  #finish(result: Closed, error: SwitchboardError | undefined): void {
    if (this.#result !== undefined) return;
    this.#result = result;
    this.#error = error;
    this.#phase = "ending";
    clearTimeout(this.#heartbeatTimer);
    this.#inbox.end();
    this.#pings.fail(closedError());
  }

  #destroyAfter(ms: number): void {
    clearTimeout(this.#closeTimer);
    this.#closeTimer = setTimeout(() => this.#stream.destroy(), ms).unref();
  }

  #inboxDrained(): void {
    if (this.#phase !== "open" || this.#reading) return;
    // What was left in the decoder may fill it again.
    this.#decode();
    if (!this.#inbox.full) this.#resumeReading();
  }

  #resumeReading(): void {
    if (this.#reading) return;
    this.#reading = true;
    this.#heartbeat.heard(performance.now());
    this.#stream.resume();
  }
}
