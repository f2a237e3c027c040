/** A WebSocket that sends commands as they are, for what the official client never does. It ends with the test. */
import { once } from "node:events";
import { onTestFinished } from "vitest";
import { WebSocket } from "ws";

export class RawSocket {
  readonly #socket: WebSocket;
  readonly #replies: unknown[] = [];
  readonly #closed: Promise<{ readonly code: number; readonly reason: string }>;
  #wake = (): void => {};

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data) => {
      for (const line of String(data).split("\n")) this.#replies.push(JSON.parse(line));
      this.#wake();
    });
    this.#closed = once(socket, "close").then(([code, reason]) => ({ code, reason: String(reason) }));
    onTestFinished(() => socket.terminate());
  }

  static async open(url: string): Promise<RawSocket> {
    const socket = new WebSocket(`${url.replace("http", "ws")}/connection/websocket`);
    const raw = new RawSocket(socket);
    await once(socket, "open");
    return raw;
  }

  /** Opens a socket, and connects as a client without a token. */
  static async connect(url: string): Promise<RawSocket> {
    const raw = await RawSocket.open(url);
    raw.send({ id: 1, connect: {} });
    await raw.next();
    return raw;
  }

  /** Sends commands in one message. */
  send(...commands: readonly object[]): void {
    this.sendText(commands.map((command) => JSON.stringify(command)).join("\n"));
  }

  sendText(text: string): void {
    this.#socket.send(text);
  }

  /** Resolves with the next reply or push. */
  async next(): Promise<unknown> {
    while (this.#replies.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#replies.shift();
  }

  /** Resolves with the next replies or pushes. */
  async take(count: number): Promise<unknown[]> {
    const taken: unknown[] = [];
    while (taken.length < count) taken.push(await this.next());
    return taken;
  }

  /** Resolves with the code and the reason of the close frame. */
  closed(): Promise<{ readonly code: number; readonly reason: string }> {
    return this.#closed;
  }
}
