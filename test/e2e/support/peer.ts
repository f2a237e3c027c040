/** A client over any WebSocket class, for tests with real clients. */
import { once } from "node:events";

/** The members that Node's own WebSocket and that of `ws` have in common. */
interface StandardSocket {
  readonly protocol: string;
  binaryType: string;
  send(data: string | Uint8Array): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: "close", listener: (event: CloseEvent) => void): void;
  addEventListener(type: "open" | "error", listener: () => void): void;
}

export interface CloseEvent {
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;
}

export type StandardSocketClass = new (url: string, protocols?: string | string[]) => StandardSocket;

/** A client whose messages are awaited one by one. */
export class Peer {
  readonly socket: StandardSocket;
  readonly closed: Promise<CloseEvent>;
  readonly #inbox: unknown[] = [];
  readonly #arrivals = new EventTarget();
  #ended = false;

  constructor(socket: StandardSocket) {
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => {
      this.#inbox.push(data instanceof ArrayBuffer ? Buffer.from(data) : data);
      this.#arrivals.dispatchEvent(new Event("any"));
    });
    this.closed = new Promise((resolve) => {
      socket.addEventListener("close", ({ code, reason, wasClean }) => {
        this.#ended = true;
        resolve({ code, reason, wasClean });
        this.#arrivals.dispatchEvent(new Event("any"));
      });
    });
    // The close event that follows an error describes it.
    socket.addEventListener("error", () => {});
  }

  static async open(socketClass: StandardSocketClass, url: string, protocols: string[] = []): Promise<Peer> {
    const peer = new Peer(new socketClass(url, protocols));
    const opened = new Promise<"open">((resolve) => peer.socket.addEventListener("open", () => resolve("open")));
    const first = await Promise.race([opened, peer.closed]);
    if (first !== "open") throw new Error(`closed with ${first.code} before it was open`);
    return peer;
  }

  /** The next message: a string, or bytes. Fails if the connection ends first. */
  async next(): Promise<unknown> {
    while (this.#inbox.length === 0) {
      if (this.#ended) throw new Error("the connection ended first");
      await once(this.#arrivals, "any");
    }
    return this.#inbox.shift();
  }

  async nextJson(): Promise<unknown> {
    return JSON.parse(String(await this.next()));
  }

  send(data: string | Uint8Array): void {
    this.socket.send(data);
  }

  sendJson(value: unknown): void {
    this.socket.send(JSON.stringify(value));
  }

  async close(code?: number, reason?: string): Promise<CloseEvent> {
    this.socket.close(code, reason);
    return this.closed;
  }
}
