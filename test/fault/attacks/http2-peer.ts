/** A hostile HTTP/2 client, for the attacks of `http2.ts`. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { parseServerFrame, text } from "../../support/frames.ts";
import {
  data,
  extendedConnect,
  frameTypes,
  type Http2Frame,
  PREFACE,
  parseHttp2Frame,
  settings,
  settingsAck,
} from "../../support/http2-frames.ts";
import type { Verdict } from "./attack.ts";
import { Waiting } from "./waiting.ts";

/** A hostile HTTP/2 session that writes bytes itself. It ignores flow control unless told otherwise. */
export class Http2Peer {
  readonly socket: Socket;
  #rest: Buffer = Buffer.alloc(0);
  #closed = false;
  /** The error code of the server's GOAWAY. */
  #goaway: number | undefined;
  readonly #answered = new Set<number>();
  readonly #resets = new Map<number, number>();
  readonly #received = new Map<number, Buffer>();
  readonly #waiting = new Waiting();

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.on("close", () => {
      this.#closed = true;
      this.#waiting.notify();
    });
  }

  /** Opens a session with these settings of the client. */
  static async open(port: number, ours: Readonly<Record<number, number>> = {}): Promise<Http2Peer> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await once(socket, "connect");
    const peer = new Http2Peer(socket);
    await peer.write(Buffer.concat([PREFACE, settings(ours), settingsAck()]));
    return peer;
  }

  /** Resolves when the system has taken the bytes, or when the connection has ended. */
  write(bytes: Uint8Array): Promise<void> {
    if (this.#closed || this.socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      this.socket.once("close", resolve);
      this.socket.write(bytes, () => {
        this.socket.off("close", resolve);
        resolve();
      });
    });
  }

  /** Requests a WebSocket in each of these streams, and waits until each is answered. */
  async openStreams(...streams: number[]): Promise<void> {
    await this.write(Buffer.concat(streams.map(extendedConnect)));
    await this.#until(() => streams.every((stream) => this.#answered.has(stream) || this.#resets.has(stream)));
  }

  /** Returns "survived" if an open stream still gets an echo, otherwise how the stream or the session ended. */
  async survival(stream: number): Promise<Verdict> {
    const question = `echo ${Math.random()}`;
    await this.write(data(stream, text(question)));
    await this.#until(() => this.#resets.has(stream) || this.#lastText(stream) === question);
    return this.#lastText(stream) === question ? "survived" : this.#endOf(stream);
  }

  /** How the server ended the stream, or the session with it. */
  async ending(stream: number): Promise<Verdict> {
    await this.#until(() => this.#resets.has(stream));
    return this.#endOf(stream);
  }

  /** How the server ended the session. */
  async sessionEnding(): Promise<Verdict> {
    await this.#until(() => false);
    return this.#goaway === undefined ? "ended" : `GOAWAY ${this.#goaway}`;
  }

  /** Resets the connection. Returns the given verdict. */
  leave(verdict: Verdict): Verdict {
    this.socket.resetAndDestroy();
    return verdict;
  }

  #endOf(stream: number): Verdict {
    const code = this.#resets.get(stream);
    return code === undefined ? "ended" : `RST_STREAM ${code}`;
  }

  #lastText(stream: number): string | undefined {
    let last: string | undefined;
    for (let rest = this.#received.get(stream) ?? Buffer.alloc(0); ; ) {
      const parsed = parseServerFrame(rest);
      if (parsed === undefined) return last;
      last = parsed.frame.payload.toString();
      rest = parsed.rest;
    }
  }

  #take(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (let parsed = parseHttp2Frame(this.#rest); parsed !== undefined; parsed = parseHttp2Frame(this.#rest)) {
      this.#rest = parsed.rest;
      this.#see(parsed.frame);
    }
    this.#waiting.notify();
  }

  #see({ type, stream, payload }: Http2Frame): void {
    if (type === frameTypes.headers) this.#answered.add(stream);
    else if (type === frameTypes.reset) this.#resets.set(stream, payload.readUInt32BE());
    else if (type === frameTypes.goaway) this.#goaway ??= payload.readUInt32BE(4);
    else if (type === frameTypes.data) {
      this.#received.set(stream, Buffer.concat([this.#received.get(stream) ?? Buffer.alloc(0), payload]));
    }
  }

  #until(done: () => boolean): Promise<void> {
    return this.#waiting.until(() => done() || this.#closed);
  }
}
