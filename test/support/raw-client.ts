/** A WebSocket client that writes bytes itself, and the requests that it sends. Used by most tests of boards. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { close, parseServerFrame, type ServerFrame } from "./frames.ts";

export interface RawClientOptions {
  readonly port: number;
  readonly path?: string;
  /** Header lines to add, or to replace by name; undefined removes a line. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** Bytes sent in the same packet as the request. */
  readonly head?: Buffer;
}

/** The bytes of a valid upgrade request, with changes. */
export function upgradeRequest({ path = "/", headers = {} }: Omit<RawClientOptions, "port"> = {}): string {
  const all: Record<string, string | undefined> = {
    Host: "localhost",
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    ...headers,
  };
  const lines = Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]));
  return `GET ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`;
}

/** The parsed head of an HTTP answer. */
export interface RawResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** A WebSocket client that writes bytes itself, for tests of what no well-behaved client sends. */
export class RawClient {
  readonly socket: Socket;
  #buffer: Buffer = Buffer.alloc(0);
  #wake: () => void = () => {};
  #closed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => {
      this.#buffer = Buffer.concat([this.#buffer, chunk]);
      this.#wake();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#closed = true;
      this.#wake();
    });
  }

  /** Connects and does the opening handshake. Fails if the answer isn't 101. */
  static async open(options: RawClientOptions): Promise<RawClient> {
    const client = await RawClient.connect(options.port);
    client.write(Buffer.concat([Buffer.from(upgradeRequest(options)), options.head ?? Buffer.alloc(0)]));
    const { status } = await client.response();
    if (status !== 101) throw new Error(`expected 101, got ${status}`);
    return client;
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = connect({ port, host: "127.0.0.1" });
    await once(socket, "connect");
    return new RawClient(socket);
  }

  write(bytes: Uint8Array | string): void {
    this.socket.write(bytes);
  }

  /** The parsed head of the HTTP answer. The last of repeated headers counts. */
  async response(): Promise<RawResponse> {
    const [statusLine = "", ...lines] = await this.head();
    const headers = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
    );
    return { status: Number(statusLine.split(" ")[1]), headers };
  }

  /** The lines of the HTTP answer's head. */
  async head(): Promise<string[]> {
    const end = await this.#until(() => {
      const at = this.#buffer.indexOf("\r\n\r\n");
      return at === -1 ? undefined : at;
    });
    const lines = this.#buffer.toString("latin1", 0, end).split("\r\n");
    this.#buffer = this.#buffer.subarray(end + 4);
    return lines;
  }

  /** The next `count` bytes, as text. */
  async take(length: number): Promise<string> {
    await this.#until(() => (this.#buffer.length >= length ? true : undefined));
    const taken = this.#buffer.toString("latin1", 0, length);
    this.#buffer = this.#buffer.subarray(length);
    return taken;
  }

  /** Everything until the server ends the connection, as text. */
  async rest(): Promise<string> {
    await this.closed();
    return this.#buffer.toString();
  }

  /** The next frame. Fails if the connection ends first. */
  async frame(): Promise<ServerFrame> {
    const parsed = await this.#until(() => parseServerFrame(this.#buffer));
    this.#buffer = parsed.rest;
    return parsed.frame;
  }

  /** The next frame as text, of whatever type. */
  async text(): Promise<string> {
    return (await this.frame()).payload.toString();
  }

  /** The next frame, which must be a close frame. Returns its code and reason. */
  async closeFrame(): Promise<{ code: number | undefined; reason: string }> {
    const { opcode, payload } = await this.frame();
    if (opcode !== 0x8) throw new Error(`expected a close frame, got opcode ${opcode}`);
    return { code: payload.length === 0 ? undefined : payload.readUInt16BE(), reason: payload.toString("utf8", 2) };
  }

  /** Does the close handshake from the client's side. */
  async close(code = 1000): Promise<void> {
    this.write(close(code));
    await this.closeFrame();
    this.socket.end();
    await this.closed();
  }

  /** Resets the connection (RST). */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  async closed(): Promise<void> {
    if (!this.#closed) await once(this.socket, "close");
  }

  async #until<T>(find: () => T | undefined): Promise<T> {
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      if (this.#closed) throw new Error("the connection ended first");
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
