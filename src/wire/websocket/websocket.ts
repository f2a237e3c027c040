/**
 * The WebSocket of `switchboard/websocket`: a message stream and a sink over any byte stream, in one thread.
 */
import type { Duplex } from "node:stream";
import type { ReadableStream, WritableStream } from "node:stream/web";
import type { SwitchboardError } from "../../errors.ts";
import { checkClose } from "../protocol/check-close.ts";
import { CloseCode } from "../protocol/close-code.ts";
import {
  type ClosePhase,
  type Closing,
  type ClosingStep,
  closedByPeer,
  endedByPeer,
  failed,
  LOST,
  lingerMs,
} from "../protocol/close-handshake.ts";
import type { Close, Ping, Pong } from "../protocol/decoding/control-event.ts";
import { Decoder } from "../protocol/decoding/decoder.ts";
import { Inflater } from "../protocol/deflate/inflater.ts";
import { encodeClose, encodeFrame } from "../protocol/frame.ts";
import { type Message, type Sendable, toFrame } from "../protocol/message.ts";
import { Opcode } from "../protocol/opcode.ts";
import type { Role } from "../protocol/role.ts";
import type { SendResult } from "../protocol/send-result.ts";
import type { Violation } from "../protocol/violation.ts";
import type { Downcast } from "../upgrade/upgraded.ts";
import { closedError, lostError, violationError } from "./end-errors.ts";
import { HeartbeatTimer } from "./heartbeat-timer.ts";
import { Inbox } from "./inbox.ts";
import { deflaterFor, type NegotiatedHandshake } from "./negotiated-handshake.ts";
import type { WebSocketSettings } from "./options.ts";
import { Outbound } from "./outbound.ts";
import { Pings } from "./pings.ts";
import { readableOf, type StreamedSocket, writableOf } from "./streams.ts";

/** The end of a WebSocket. */
export interface Closed {
  /** The peer's code if the peer closed first (1005 for none), our code if we did, 1006 if the connection was lost. */
  readonly code: number;
  /** Reason that belongs to the code, or "". */
  readonly reason: string;
  /** True if close frames went both ways. */
  readonly wasClean: boolean;
}

/** The heartbeat's ping: no promise waits for its pong. */
const PING = encodeFrame(Opcode.ping, Buffer.alloc(0));

/**
 * One WebSocket over a byte stream, in the thread that creates it. `upgradeConnection` and `connect` create WebSockets.
 *
 * Iterate over a WebSocket to get its messages. Up to `maxInboxMessages` messages wait for the reader; then the
 * WebSocket stops reading its stream, and TCP stops the peer. Leaving the loop doesn't close the WebSocket: a later
 * loop continues with the next message. The iteration is done when the connection ends, whatever the reason: peers
 * vanish every day. `closed` and `error` tell how the connection ended.
 */
export class WebSocket implements AsyncIterable<Message>, StreamedSocket {
  /** The negotiated subprotocol, or "". */
  readonly protocol: string;
  /** The negotiated extensions, as in the header, or "". */
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
  readonly #heartbeat: HeartbeatTimer;
  readonly #resolveClosed: (closed: Closed) => void;
  #phase: ClosePhase = "open";
  /** Code and reason of our close frame; set in the phase `closingByUs`. */
  #closing: Closing | undefined;
  #result: Closed | undefined;
  #error: SwitchboardError | undefined;
  #reading = true;
  /** The peer's end, until the readers of the messages before it have answered. "end": without a close frame. */
  #last: Close | Violation | "end" | undefined;
  /** Time for the answers, for the peer's close frame, or for its end. */
  #closeTimer: NodeJS.Timeout | undefined;
  #readable: ReadableStream<Message> | undefined;
  #writable: WritableStream<Sendable> | undefined;

  /** Takes over the stream: from now on only this WebSocket closes it. */
  constructor({ socket, readBuffer }: Downcast, negotiated: NegotiatedHandshake, settings: WebSocketSettings) {
    this.protocol = negotiated.protocol;
    this.extensions = negotiated.extensions;
    this.#role = negotiated.role;
    this.#stream = socket;
    this.#settings = settings;
    const { promise, resolve } = Promise.withResolvers<Closed>();
    this.closed = promise;
    this.#resolveClosed = resolve;
    const { maxPayloadBytes, maxFragments } = settings;
    const inflater = negotiated.deflate && new Inflater(negotiated.deflate);
    const deflater =
      negotiated.deflate && settings.compression && deflaterFor(negotiated.deflate, settings.compression);
    this.#decoder = new Decoder({ role: negotiated.role, maxPayloadBytes, maxFragments, inflater });
    this.#inbox = new Inbox(settings, { drained: () => this.#inboxDrained(), answered: () => this.#answered() });
    this.#outbound = new Outbound(socket, {
      role: negotiated.role,
      maxBufferedBytes: settings.maxBufferedBytes,
      deflater,
    });
    this.#heartbeat = new HeartbeatTimer(settings, this, () => this.#pingSilentPeer());

    socket.allowHalfOpen = true;
    // The `close` event that follows an error tells what it means.
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

  /** Resolves with the next message, as iteration does. */
  next(): Promise<IteratorResult<Message, undefined>> {
    return this.#inbox.next();
  }

  [Symbol.asyncIterator](): AsyncIterator<Message, undefined> {
    return this.#inbox.loop();
  }

  /**
   * The messages as a web stream. Each message goes to one reader, of this stream or of an iteration. Cancelling the
   * stream closes the WebSocket. When the connection is lost, the stream fails with `error`, unlike an iteration: a
   * pipe must not take the loss for the end.
   */
  get readable(): ReadableStream<Message> {
    this.#readable ??= readableOf(this);
    return this.#readable;
  }

  // ── sending ────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Sends a string as text, bytes as binary, and a message in its own type. Await the result for backpressure: the
   * promise resolves when there is room for more, and never rejects. Throws `ERR_DATA` for other data.
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
   * Sends a ping and resolves with the round-trip time in milliseconds. The pong arrives only while messages are read.
   * Rejects with `ERR_CLOSED` if the connection ends first, and with `ERR_TOO_MANY_PINGS` if 128 pings are under way.
   */
  ping(): Promise<number> {
    const { payload, answered } = this.#phase === "open" ? this.#pings.begin() : Pings.failed(closedError());
    if (payload !== undefined) this.#outbound.sendControl(encodeFrame(Opcode.ping, payload));
    return answered;
  }

  // ── closing ────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Begins the close handshake, after everything that was sent before. Messages that arrive from now on are dropped.
   * `closed` resolves when the handshake is over, after `closeTimeoutMs` at the latest. Does nothing if the WebSocket
   * is closing already.
   *
   * Throws `ERR_CLOSE_CODE` or `ERR_CLOSE_REASON` for a code or a reason that no close frame carries (RFC 6455 sections
   * 7.4 and 5.5).
   */
  close(code: number = CloseCode.normal, reason = ""): void {
    checkClose(code, reason);
    if (this.#phase !== "open") return;
    this.#phase = "closingByUs";
    this.#closing = { code, reason };
    this.#heartbeat.stop();
    this.#inbox.end();
    this.#outbound.sendClose(encodeClose(code, reason));
    this.#destroyAfter(this.#settings.closeTimeoutMs);
    // The peer's close frame may be among the bytes that the full inbox held back.
    if (!this.#reading) this.#decode();
    this.#resumeReading();
    this.#conclude();
  }

  /**
   * The reason why the connection ended without a close handshake: `ERR_CONNECTION_LOST`, or the code of the peer's
   * violation. Undefined while the WebSocket is open, and after a close handshake.
   */
  get error(): SwitchboardError | undefined {
    return this.#error;
  }

  /** Closes the connection at once, without a close handshake. */
  destroy(): void {
    this.#stream.destroy();
  }

  /** Closes the WebSocket and waits for the end. `await using` calls it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.closed;
  }

  // ── from the stream ────────────────────────────────────────────────────────────────────────────────────

  #received(chunk: Buffer): void {
    this.#heartbeat.heard(performance.now());
    // Once the end is decided, input is read and ignored.
    if (this.#phase !== "open" && this.#phase !== "closingByUs") return;
    this.#decoder.feed(chunk);
    this.#decode();
  }

  /**
   * The peer ended its direction and may still read ours, so everything that was sent before still leaves. The end may
   * come in the same read as the last messages, and their readers answer in microtasks: the connection ends after this
   * turn at the earliest.
   */
  #handleEnd(): void {
    if (this.#phase === "ending") this.#outbound.end();
    else this.#peerEnded(this.#last ?? "end");
  }

  #handleStreamClosed(): void {
    if (this.#last !== "end") this.#conclude();
    this.#finish({ ...LOST, wasClean: false }, lostError());
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
        if (delivered || !this.#inbox.isAnswered) this.#peerEnded(event);
        else {
          this.#last = event;
          this.#conclude();
        }
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

  /**
   * Keeps the peer's end until the messages before it have been answered. Readers get messages in microtasks: an answer
   * that they send at once leaves in any case, and that of a loop if it takes no longer than `lingerMs`.
   */
  #peerEnded(last: Close | Violation | "end"): void {
    if (this.#phase === "open" && this.#last === undefined) {
      this.#heartbeat.stop();
      this.#closeTimer = setTimeout(() => this.#conclude(), lingerMs(this.#settings.closeTimeoutMs)).unref();
    }
    this.#last = last;
    this.#answered();
  }

  /** The readers may have answered everything, in this turn or before. */
  #answered(): void {
    if (this.#last === undefined) return;
    setImmediate(() => {
      const last = this.#last;
      const isViolation = typeof last === "object" && last.kind === "violation";
      if (isViolation || this.#phase !== "open" || this.#inbox.isAnswered) this.#conclude();
    });
  }

  #conclude(): void {
    const last = this.#last;
    if (last === undefined) return;
    this.#last = undefined;
    if (last === "end") this.#end(endedByPeer(), lostError());
    else if (last.kind === "close") this.#end(closedByPeer(this.#role, this.#closing, last), undefined);
    else this.#end(failed(this.#phase, { code: last.closeCode, reason: last.reason }), violationError(last));
  }

  #end({ frame, closing, wasClean, endsTransport }: ClosingStep, error: SwitchboardError | undefined): void {
    if (frame !== undefined) this.#outbound.sendClose(frame);
    this.#finish({ ...closing, wasClean }, error);
    if (endsTransport || this.#stream.readableEnded) this.#outbound.end();
    // Queued bytes leave first; then the peer has a moment to end its direction.
    this.#destroyAfter(lingerMs(this.#settings.closeTimeoutMs));
    this.#resumeReading();
  }

  /** The connection has ended for its user. Only the first call counts. */
  #finish(result: Closed, error: SwitchboardError | undefined): void {
    if (this.#result !== undefined) return;
    this.#result = result;
    this.#error = error;
    this.#phase = "ending";
    this.#heartbeat.stop();
    this.#inbox.end();
    this.#pings.fail(closedError());
  }

  #pingSilentPeer(): void {
    // While bytes wait for the peer, a ping would only wait behind them.
    if (this.bufferedBytes === 0) this.#outbound.sendControl(PING);
  }

  #destroyAfter(ms: number): void {
    clearTimeout(this.#closeTimer);
    this.#closeTimer = setTimeout(() => this.#stream.destroy(), ms).unref();
  }

  #inboxDrained(): void {
    if (this.#phase !== "open" || this.#reading) return;
    // Bytes that were left in the decoder may fill the inbox again.
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
