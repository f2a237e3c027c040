/** A hostile client, for all attacks over HTTP/1.1, and for the bystanders. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { parseServerFrame, type ServerFrame, text } from "../../support/frames.ts";
import { upgradeRequest } from "../../support/raw-client.ts";
import type { Verdict } from "./attack.ts";
import { Waiting } from "./waiting.ts";

const CLOSE = 0x8;
const HEAD_END = Buffer.from("\r\n\r\n");

/** Local addresses of the connections, in turn. One address alone has too few ports for so many connections. */
const SOURCES = 100;
let dialled = 0;

export const compressing = { "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits" };

/**
 * A hostile client that writes bytes itself, light enough for thousands. It reads what the server sends and doesn't
 * keep the bytes.
 */
export class Peer {
  readonly socket: Socket;
  #rest: Buffer = Buffer.alloc(0);
  #inHead = true;
  #status: number | undefined;
  #verdict: Verdict | undefined;
  #closed = false;
  #texts: string[] = [];
  #binaries = 0;
  readonly #waiting = new Waiting();

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    // The server ended its side. An attacker may leave its own side open.
    socket.on("end", () => socket.end());
    socket.on("close", () => {
      this.#closed = true;
      this.#waiting.notify();
    });
  }

  /** Opens a connection and sends nothing. */
  static async dial(port: number): Promise<Peer> {
    const localAddress = `127.0.0.${2 + (dialled++ % SOURCES)}`;
    const socket = connect({ port, host: "127.0.0.1", localAddress, allowHalfOpen: true });
    await once(socket, "connect");
    return new Peer(socket);
  }

  /** Opens a WebSocket. Fails if the server refuses. */
  static async open(port: number, headers: Readonly<Record<string, string>> = {}): Promise<Peer> {
    const peer = await Peer.dial(port);
    await peer.write(upgradeRequest({ headers }));
    const status = await peer.status();
    if (status !== 101) throw new Error(`expected 101, got ${status}`);
    return peer;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Resolves when the system has taken the bytes, or when the connection has ended. */
  write(bytes: Uint8Array | string): Promise<void> {
    if (this.#closed || this.socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      this.socket.once("close", resolve);
      this.socket.write(bytes, () => {
        this.socket.off("close", resolve);
        resolve();
      });
    });
  }

  /** The status of the HTTP answer; undefined if the connection ends first. */
  async status(): Promise<number | undefined> {
    await this.#until(() => this.#status !== undefined);
    return this.#status;
  }

  /** The verdict of the handshake: its status, or "ended". */
  async answer(): Promise<Verdict> {
    return String((await this.status()) ?? "ended");
  }

  /** The next text message; undefined if the connection ends first. */
  async text(): Promise<string | undefined> {
    await this.#until(() => this.#texts.length > 0);
    return this.#texts.shift();
  }

  async ask(question: string): Promise<string | undefined> {
    await this.write(text(question));
    return this.text();
  }

  /** Waits until `count` binary messages have come, or until the end. */
  async binaries(count: number): Promise<void> {
    await this.#until(() => this.#binaries >= count);
  }

  /** Returns "survived" if the connection still gets an echo, otherwise what came instead. */
  async survival(): Promise<Verdict> {
    const question = `echo ${Math.random()}`;
    await this.write(text(question));
    for (;;) {
      const answer = await this.text();
      if (answer === question) return "survived";
      if (answer === undefined) return this.verdict();
    }
  }

  /** The first close code; "ended" if the connection ends without one. */
  async verdict(): Promise<Verdict> {
    await this.#until(() => this.#verdict !== undefined);
    return this.#verdict ?? "ended";
  }

  /** Resets the connection. Returns the given verdict. */
  leave(verdict: Verdict): Verdict {
    this.socket.resetAndDestroy();
    return verdict;
  }

  #take(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    if (this.#inHead) {
      const end = this.#rest.indexOf(HEAD_END);
      if (end === -1) return;
      this.#inHead = false;
      this.#status = Number(this.#rest.toString("latin1", 9, 12));
      this.#rest = this.#rest.subarray(end + HEAD_END.length);
    }
    if (this.#status === 101) {
      for (let parsed = parseServerFrame(this.#rest); parsed !== undefined; parsed = parseServerFrame(this.#rest)) {
        this.#rest = parsed.rest;
        this.#see(parsed.frame);
      }
    } else {
      this.#rest = this.#rest.subarray(this.#rest.length);
    }
    this.#waiting.notify();
  }

  #see({ opcode, payload }: ServerFrame): void {
    if (opcode === CLOSE) this.#verdict ??= String(payload.length < 2 ? 1005 : payload.readUInt16BE());
    else if (opcode === 0x2) this.#binaries++;
    else if (opcode === 0x1) this.#texts.push(payload.toString());
  }

  #until(done: () => boolean): Promise<void> {
    return this.#waiting.until(() => done() || this.#closed);
  }
}
