/** The peer that plays a conformance case against an end under test. */
import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import type { Duplex } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { clientFrame } from "../support/frames.ts";
import { type Answer, type Case, closing, type Ending, type FrameSpec } from "./case.ts";
import { type DeflateTermsAgreed, inflateAlone, MessageDeflater } from "./deflate.ts";
import { FrameReader, type ReadFrame } from "./frame-reader.ts";

export interface PeerOptions {
  /** The peer's own role. */
  readonly role: "client" | "server";
  /** Bytes that came behind the handshake. */
  readonly head: Buffer;
  /** The negotiated compression; undefined if none. */
  readonly deflate?: DeflateTermsAgreed | undefined;
  /** Close code and `wasClean` as the end under test reports them, if it does. */
  readonly verdict?: Promise<{ readonly code: number; readonly wasClean: boolean }>;
}

/** Longest time for one case, far above what any case needs. */
const DEADLINE_MS = 20_000;
const KINDS: Readonly<Record<number, string>> = { 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong" };
const COMPRESSED = 0x4;
const REASON = / ".*$/;

/** The peer of an end under test: plays a case, and records everything that the end sends. */
export class Peer {
  readonly #socket: Duplex;
  readonly #options: PeerOptions;
  readonly #reader: FrameReader;
  readonly #deflater: MessageDeflater | undefined;
  readonly #messages: string[] = [];
  readonly #pongs: string[] = [];
  /** The close frame, and everything after it. */
  readonly #ending: string[] = [];
  #message: { readonly opcode: number; readonly compressed: boolean; readonly pieces: Buffer[] } | undefined;
  #frames = 0;
  #over = false;
  #wake: () => void = () => {};

  constructor(socket: Duplex, options: PeerOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#reader = new FrameReader(options.role === "server");
    this.#deflater = options.deflate && new MessageDeflater(options.deflate);
    this.#received(options.head);
    socket.on("data", (chunk: Buffer) => this.#received(chunk));
    socket.on("end", () => this.#end("end of the stream"));
    socket.on("error", (error: NodeJS.ErrnoException) => this.#end(`error ${error.code}`));
    socket.on("close", () => this.#end("closed without an end"));
    socket.resume();
  }

  /**
   * Plays the case. Returns everything that the end under test did: messages, pongs, close frame, end of the stream,
   * verdict.
   */
  async play({ steps, cut = "at once", answers = [], end = { kind: "clean" } }: Case): Promise<string[]> {
    const deadline = setTimeout(() => this.#end(`nothing more after ${DEADLINE_MS} ms`), DEADLINE_MS);
    try {
      let frames: Buffer[] = [];
      for (const step of typeof steps === "function" ? steps() : steps) {
        if ("awaits" in step) {
          await this.#write(frames, cut);
          frames = [];
          await this.#answered(step.awaits);
        } else if ("deflated" in step) {
          const { opcode, deflated, fragmentBytes = Number.POSITIVE_INFINITY } = step;
          frames.push(...this.#deflatedFrames(opcode, await this.#deflate(deflated), fragmentBytes));
        } else {
          frames.push(this.#encode(step));
        }
      }
      await this.#write(frames, cut);
      if (end.kind === "clean") {
        await this.#answered((typeof answers === "function" ? answers() : answers).length);
        this.#socket.write(this.#encode({ opcode: 0x8, payload: closing(1000) }));
      }
      await this.#ended(end);
      const verdict = await this.#options.verdict;
      // The reason of a failure is free text, so it is left out.
      const ending = end.kind === "failed" ? this.#ending.map((line) => line.replace(REASON, "")) : this.#ending;
      return [...this.#messages, ...this.#pongs, ...ending, ...(verdict ? [describeVerdict(verdict)] : [])];
    } finally {
      clearTimeout(deadline);
      this.#deflater?.destroy();
      this.#socket.destroy();
    }
  }

  /** The result of `play` when the end under test passes the case. */
  expected({ answers = [], end = { kind: "clean" } }: Case): string[] {
    const all = typeof answers === "function" ? answers() : answers;
    const data = all.filter(({ kind }) => kind !== "pong");
    const pongs = all.filter(({ kind }) => kind === "pong");
    const lines = [...data, ...pongs].map(describeAnswer);
    lines.push(describeEnding(end), "end of the stream");
    if (this.#options.verdict !== undefined) {
      const code = end.kind === "clean" ? 1000 : (end.code ?? 1005);
      lines.push(describeVerdict({ code, wasClean: end.kind !== "failed" }));
    }
    return lines;
  }

  // Sending

  #encode({ opcode, payload = "", wronglyMasked = false, sentBytes, announces, ...options }: FrameSpec): Buffer {
    const masked = (this.#options.role === "client") !== wronglyMasked;
    const n = ++this.#frames;
    const key = options.key ?? Buffer.of(n * 167, n * 59, n >> 3, 0xa5 ^ n);
    if (announces !== undefined) {
      const head = Buffer.alloc(10);
      head.writeBigUInt64BE(announces, 2);
      head.set([0x80 | opcode, masked ? 0xff : 0x7f]);
      return masked ? Buffer.concat([head, key]) : head;
    }
    const frame = clientFrame(opcode, payload, { ...options, masked, key });
    const missing = sentBytes === undefined ? 0 : Buffer.byteLength(payload) - sentBytes;
    return frame.subarray(0, frame.length - missing);
  }

  #deflate(payload: Uint8Array | string): Promise<Buffer> {
    if (this.#deflater === undefined) throw new Error("the case compresses, and that wasn't agreed");
    return this.#deflater.deflate(payload);
  }

  #deflatedFrames(opcode: number, bytes: Buffer, fragmentBytes: number): Buffer[] {
    const frames: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += fragmentBytes) {
      const payload = bytes.subarray(at, at + fragmentBytes);
      const fin = at + fragmentBytes >= bytes.length;
      frames.push(this.#encode(at === 0 ? { opcode, payload, fin, rsv: COMPRESSED } : { opcode: 0x0, payload, fin }));
    }
    return frames;
  }

  async #write(frames: readonly Buffer[], cut: Case["cut"]): Promise<void> {
    const bytes = Buffer.concat(frames);
    if (cut === "at once") {
      if (bytes.length > 0) this.#socket.write(bytes);
      return;
    }
    if (typeof cut === "number") {
      for (let at = 0; at < bytes.length; at += cut) await this.#writeAlone(bytes.subarray(at, at + cut));
    } else {
      for (const frame of frames) await this.#writeAlone(frame);
    }
  }

  /** Writes bytes as a packet of their own. Writes nothing after the end under test has ended. */
  async #writeAlone(bytes: Buffer): Promise<void> {
    if (this.#over) return;
    await new Promise<void>((resolve) => this.#socket.write(bytes, () => resolve()));
    await turn();
  }

  // Receiving

  #received(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) this.#take(frame);
    } catch (error) {
      this.#end(`broken: ${(error as Error).message}`);
      this.#socket.destroy();
    }
    this.#wake();
  }

  #take({ fin, rsv, opcode, payload }: ReadFrame): void {
    if (this.#ending.length > 0) throw new Error(`a frame of opcode ${opcode} after the close frame`);
    if (opcode >= 0x8) {
      if (!fin || rsv !== 0) throw new Error("a control frame that is fragmented or has reserved bits");
      if (opcode === 0x8) this.#ending.push(describeClose(payload));
      else this.#pongs.push(describe(KINDS[opcode] ?? `opcode ${opcode}`, payload));
      return;
    }
    if ((opcode === 0) !== (this.#message !== undefined)) throw new Error("fragments are mixed up");
    if (rsv !== 0 && (rsv !== COMPRESSED || opcode === 0 || this.#options.deflate === undefined)) {
      throw new Error(`reserved bits ${rsv}`);
    }
    this.#message ??= { opcode, compressed: rsv !== 0, pieces: [] };
    this.#message.pieces.push(payload);
    if (!fin) return;
    const { pieces, compressed, opcode: kind } = this.#message;
    this.#message = undefined;
    const bytes = pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
    const message = compressed ? inflateAlone(bytes, this.#options.deflate?.receiveWindowBits ?? 15) : bytes;
    if (kind === 0x1 && !isUtf8(message)) throw new Error("a text isn't UTF-8");
    this.#messages.push(describe(KINDS[kind] ?? `opcode ${kind}`, message));
  }

  #end(how: string): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#reader.rest > 0) this.#ending.push(`${this.#reader.rest} bytes of a frame that isn't whole`);
    this.#ending.push(how);
    this.#wake();
  }

  #answered(count: number): Promise<void> {
    return this.#until(() => this.#messages.length + this.#pongs.length >= count || this.#ending.length > 0);
  }

  /** Waits until the end under test has ended its direction. After a close handshake the server ends first. */
  async #ended({ kind }: Ending): Promise<void> {
    if (kind !== "failed" && this.#options.role === "server") {
      await this.#until(() => this.#ending.length > 0);
      this.#socket.end();
    }
    await this.#until(() => this.#over);
    this.#socket.end();
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition() && !this.#over) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

function describe(kind: string, payload: Uint8Array): string {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
  const shown =
    bytes.length > 64
      ? createHash("sha1").update(bytes).digest("hex")
      : kind === "text"
        ? JSON.stringify(bytes.toString())
        : bytes.toString("hex");
  return `${kind} of ${bytes.length} bytes: ${shown}`;
}

function describeAnswer({ kind, payload }: Answer): string {
  return describe(kind, typeof payload === "string" ? Buffer.from(payload) : payload);
}

function describeClose(payload: Buffer): string {
  if (payload.length === 0) return "close without a code";
  if (payload.length === 1) throw new Error("a close frame with half a code");
  const reason = payload.subarray(2);
  if (!isUtf8(reason) || payload.length > 125) throw new Error("a close frame with a reason that isn't allowed");
  return `close ${payload.readUInt16BE()} ${JSON.stringify(reason.toString())}`;
}

function describeEnding(end: Ending): string {
  if (end.kind === "failed") return `close ${end.code}`;
  return describeClose(end.kind === "clean" ? closing(1000) : closing(end.code, end.reason));
}

function describeVerdict({ code, wasClean }: { readonly code: number; readonly wasClean: boolean }): string {
  return `told as ${code}, ${wasClean ? "clean" : "not clean"}`;
}
