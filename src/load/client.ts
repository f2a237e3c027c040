/** The WebSocket client of the load: one connection that a scenario drives. */
import { createConnection, type Socket } from "node:net";
import { beginHandshake, type ClientHandshake } from "../wire/handshake/client.ts";
import { builtins } from "../wire/node-internals/builtins.ts";
import { writeBelowQueue } from "../wire/node-internals/net.ts";
import { Decoder } from "../wire/protocol/decoding/decoder.ts";
import type { CompressionOptions } from "../wire/protocol/deflate/compression.ts";
import { Inflater } from "../wire/protocol/deflate/inflater.ts";
import { encodeClose, encodeFrame, type Frame } from "../wire/protocol/frame.ts";
import { maskFrame } from "../wire/protocol/masking/mask-frame.ts";
import type { Message } from "../wire/protocol/message.ts";
import { Opcode } from "../wire/protocol/opcode.ts";
import { Answer, requestHead } from "./answer.ts";
import { FrameReader } from "./frame-reader.ts";
import type { Tally } from "./tally.ts";
import type { Target } from "./target.ts";

/** The settings that all clients of a thread share. */
export interface ClientSettings {
  readonly target: Target;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly insecure: boolean;
  readonly compression: CompressionOptions | undefined;
  /** Longest message that the server may send, in bytes. */
  readonly maxMessageBytes: number;
  readonly tally: Tally;
}

/** The user of a client: a connection of a scenario. */
export interface ClientHandler {
  /** The handshake succeeded. */
  opened(): void;
  /** Reads a frame in place if it is the expected one. Returns false for any other frame, which is then decoded. */
  frame(bytes: Buffer, start: number, payload: number, end: number): boolean;
  /** A message arrived whose frame `frame` didn't read. */
  message(message: Message): void;
  /** All frames that had arrived were passed on. Send the replies now, so that they leave with one write. */
  read(): void;
  /** The system has taken all bytes that were written. */
  drained(): void;
  /** The connection ended. Called once, last. `reason` is a sentence; undefined when this end closed the connection. */
  closed(reason: string | undefined): void;
}

const READ_BUFFER_BYTES = 256 * 1024;
/** Time for the answer to the opening handshake, and for the answer to a close frame. */
const ANSWER_TIMEOUT_MS = 10_000;
/** Largest number of connections from one loopback address: an address has too few ports for more. */
const MAX_PER_LOOPBACK_ADDRESS = 20_000;

/** The buffer into which all sockets of a thread read, one after the other. */
let readBuffer: Buffer | undefined;
/** Number of connections that this thread has made to a loopback address. */
let loopbacks = 0;

/**
 * One connection of the load: a socket, the opening handshake and frames. It is built to be cheap, not complete: see
 * `FrameReader`.
 */
export class Client {
  readonly #settings: ClientSettings;
  readonly #handler: ClientHandler;
  readonly #socket: Socket;
  readonly #frames: FrameReader;
  readonly #handshake: ClientHandshake;
  #answer: Answer | undefined;
  #decoder: Decoder | undefined;
  #timer: NodeJS.Timeout | undefined;
  #state: "opening" | "open" | "closing" | "closed" = "opening";
  #reason: string | undefined;
  #deflateBits: number | undefined;
  /** Number of bytes that the system hasn't taken yet. */
  #pending = 0;
  /** Bytes to write after the current write. */
  #waiting: Buffer[] = [];
  /** True when the system didn't take a write at once: `drained` must be called later. */
  #behind = false;

  constructor(settings: ClientSettings, handler: ClientHandler) {
    this.#settings = settings;
    this.#handler = handler;
    this.#handshake = beginHandshake({ compression: settings.compression });
    this.#answer = new Answer(this.#handshake);
    this.#frames = new FrameReader(settings.maxMessageBytes + 14, this.#frame);
    this.#socket = this.#connect();
    this.#socket.setNoDelay(true);
    this.#socket.on("error", (error) => this.#fail(explain(error)));
    this.#socket.on("end", () => this.#fail("the server ended the connection without a close frame"));
    this.#socket.on("close", () => this.#closed());
    const noAnswer = `the server didn't answer the handshake within ${ANSWER_TIMEOUT_MS / 1000} s`;
    this.#timer = setTimeout(() => this.#fail(noAnswer), ANSWER_TIMEOUT_MS);
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Window for compressing messages, as negotiated; undefined for sending them uncompressed. */
  get deflateBits(): number | undefined {
    return this.#deflateBits;
  }

  /** Number of bytes that wait here because the server doesn't read them. */
  get bufferedBytes(): number {
    return this.#pending;
  }

  /** Writes frames. Returns true when the system took all bytes at once: the caller may then reuse their memory. */
  write(bytes: Buffer): boolean {
    if (this.#state !== "open") return true;
    this.#settings.tally.bytesSent += bytes.length;
    return this.#write(bytes);
  }

  /** Sends a close frame and waits for the server's. Destroys a connection that isn't open. */
  close(): void {
    if (this.#state !== "open") {
      this.destroy();
      return;
    }
    this.#write(masked(encodeClose(1000)));
    this.#state = "closing";
    this.#timer = setTimeout(() => this.destroy(), ANSWER_TIMEOUT_MS);
  }

  destroy(): void {
    this.#state = "closed";
    this.#socket.destroy();
  }

  #connect(): Socket {
    const { target, insecure } = this.#settings;
    const options = { host: target.address, port: target.port, ...loopback(target.address) };
    const request = requestHead(target, this.#handshake, this.#settings.headers);
    if (target.secure) {
      const tls = builtins.tls.connect({
        ...options,
        rejectUnauthorized: !insecure,
        ...(target.serverName !== undefined && { servername: target.serverName }),
      });
      tls.once("secureConnect", () => tls.write(request));
      tls.on("data", (chunk: Buffer) => this.#received(chunk, chunk.length));
      return tls;
    }
    readBuffer ??= Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
    const shared = readBuffer;
    const callback = (length: number): boolean => {
      this.#received(shared, length);
      return true;
    };
    const socket = createConnection({ ...options, onread: { buffer: shared, callback } });
    socket.once("connect", () => socket.write(request));
    return socket;
  }

  #received(bytes: Buffer, length: number): void {
    if (this.#state === "closed") return;
    let at = 0;
    if (this.#answer !== undefined) {
      at = this.#open(this.#answer, bytes, length);
      if (at < 0) return;
    }
    this.#settings.tally.bytesReceived += length - at;
    if (!this.#frames.read(bytes, at, length)) this.#fail("the server sent a message that is too long");
    else if (this.#state === "open") this.#handler.read();
  }

  /** Reads the server's answer. Returns the offset after it; -1 when it is incomplete or wrong. */
  #open(answer: Answer, bytes: Buffer, length: number): number {
    const outcome = answer.read(bytes, length);
    if (outcome === undefined) return -1;
    this.#answer = undefined;
    clearTimeout(this.#timer);
    if (!outcome.ok) {
      this.#fail(outcome.reason);
      return -1;
    }
    const { deflate } = outcome.accepted;
    this.#decoder = new Decoder({
      role: "client",
      maxPayloadBytes: this.#settings.maxMessageBytes,
      maxFragments: Number.POSITIVE_INFINITY,
      inflater: deflate && new Inflater(deflate),
    });
    // zlib can't compress with a window below 9.
    if (deflate !== undefined && deflate.windowBits >= 9) this.#deflateBits = deflate.windowBits;
    this.#state = "open";
    this.#handler.opened();
    return outcome.end;
  }

  readonly #frame = (bytes: Buffer, start: number, payload: number, end: number): boolean => {
    if (this.#state === "open" && this.#handler.frame(bytes, start, payload, end)) return true;
    const decoder = this.#decoder as Decoder;
    decoder.feed(bytes.subarray(start, end));
    for (let event = decoder.next(); event !== undefined; event = decoder.next()) {
      if (event.kind === "message") {
        if (this.#state === "open") this.#handler.message(event);
      } else if (event.kind === "ping") {
        if (this.#state === "open") this.#write(masked(encodeFrame(Opcode.pong, event.payload)));
      } else if (event.kind === "close") {
        this.#closedByServer(event.code, event.reason);
      } else if (event.kind === "violation") {
        this.#fail(`the server broke the protocol: ${event.reason}`);
      }
    }
    return true;
  };

  #closedByServer(code: number, reason: string): void {
    if (this.#state === "open") {
      this.#reason = `the server closed with ${code}${reason === "" ? "" : ` (${reason})`}`;
      this.#write(masked(encodeClose(code === 1005 ? undefined : code)));
    }
    this.#state = "closing";
    this.#socket.end();
  }

  #fail(reason: string): void {
    if (this.#state === "closed") return;
    if (this.#state !== "closing") this.#reason ??= reason;
    this.destroy();
  }

  #closed(): void {
    clearTimeout(this.#timer);
    if (this.#state === "open" || this.#state === "opening") this.#reason ??= "the connection ended";
    this.#state = "closed";
    this.#handler.closed(this.#reason);
  }

  /** Writes below the stream's own queue, and keeps that queue here. */
  #write(bytes: Buffer): boolean {
    if (this.#pending > 0) {
      this.#waiting.push(bytes);
      this.#pending += bytes.length;
      return false;
    }
    this.#pending = bytes.length;
    writeBelowQueue(this.#socket, bytes, this.#written);
    if (this.#pending > 0) this.#behind = true;
    return this.#pending === 0;
  }

  /** Called within `writeBelowQueue` when the system takes all bytes at once. */
  readonly #written = (error?: Error | null): void => {
    if (error != null) {
      this.#fail(explain(error));
      return;
    }
    this.#pending = 0;
    if (this.#waiting.length > 0) {
      const bytes = Buffer.concat(this.#waiting);
      this.#waiting = [];
      this.#write(bytes);
    } else if (this.#behind) {
      this.#behind = false;
      if (this.#state === "open") this.#handler.drained();
    }
  };
}

function masked(frame: Frame): Buffer {
  const { block, start, end } = maskFrame(frame);
  return block.subarray(start, end);
}

/** Chooses another local address for every `MAX_PER_LOOPBACK_ADDRESS` connections to this machine. */
function loopback(address: string): { localAddress?: string } {
  if (!address.startsWith("127.")) return {};
  const group = Math.floor(loopbacks++ / MAX_PER_LOOPBACK_ADDRESS);
  return group === 0 ? {} : { localAddress: `127.0.${group >> 8}.${1 + (group & 0xff)}` };
}

/** Describes an error of a socket in one sentence. */
function explain(error: Error): string {
  const code = "code" in error ? String(error.code) : "";
  if (code === "ECONNREFUSED") return "no server listens there (ECONNREFUSED)";
  if (code === "ECONNRESET") return "the server reset the connection (ECONNRESET)";
  if (code === "EPIPE") return "the server closed the connection (EPIPE)";
  if (code === "EMFILE") return "this process may open no more files (EMFILE); raise the limit with ulimit -n";
  if (code === "EADDRNOTAVAIL") return "this machine has no more free ports for that server (EADDRNOTAVAIL)";
  if (/CERT|SELF_SIGNED/.test(code))
    return `the server's certificate isn't trusted (${code}); --insecure accepts any certificate`;
  return code === "" || error.message.includes(code) ? error.message : `${error.message} (${code})`;
}
