/** A client of the protocol that writes its frames itself, so that a test decides what the server gets. */
import { once } from "node:events";
import { WebSocket } from "ws";
import { clientProtobuf } from "../protocol/support/client-codecs.ts";

/** A reply or a push as the server sent it; of Protobuf in the form of JSON. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into replies of any kind.
export type Raw = Record<string, any>;

export type Encoding = "json" | "protobuf";

/** Time that a wait takes at most, in ms. It only ends tests that would never end. */
const DEADLINE_MS = 30_000;

export class RawClient {
  readonly socket: WebSocket;
  readonly encoding: Encoding;
  /** Resolves with the close code and its reason. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  /** All pushes, in order. A caller may take them out. */
  readonly pushes: Raw[] = [];
  readonly replies = new Map<number, Raw>();
  pings = 0;
  /** False for a client that doesn't answer pings. */
  answersPings = true;
  isClosed = false;
  #changed = new Set<() => void>();
  #nextId = 1;

  constructor(url: string, encoding: Encoding = "json", options: object = {}) {
    this.encoding = encoding;
    this.socket = new WebSocket(url, encoding === "json" ? [] : ["centrifuge-protobuf"], options);
    this.socket.on("message", (data: Buffer) => this.#take(data));
    this.socket.on("error", () => {});
    this.closed = new Promise((resolve) => {
      this.socket.once("close", (code, reason) => {
        this.isClosed = true;
        this.#tell();
        resolve({ code, reason: reason.toString() });
      });
    });
  }

  static async open(url: string, encoding: Encoding = "json", options: object = {}): Promise<RawClient> {
    const client = new RawClient(url, encoding, options);
    await once(client.socket, "open");
    return client;
  }

  /** Opens a client and sends `connect`. */
  static async connected(url: string, encoding: Encoding = "json", request: object = {}): Promise<RawClient> {
    const client = await RawClient.open(url, encoding);
    const reply = await client.call({ connect: request });
    if (reply["error"]) throw new Error(JSON.stringify(reply["error"]));
    return client;
  }

  /** Sends commands as one frame. */
  send(...commands: readonly object[]): void {
    if (this.encoding === "json") this.socket.send(commands.map((command) => JSON.stringify(command)).join("\n"));
    else this.socket.send(clientProtobuf.encodeCommands(commands));
  }

  /** Sends a command with an id. Resolves with its reply; rejects if the connection closes first. */
  async call(command: object): Promise<Raw> {
    const id = this.#nextId++;
    this.send({ id, ...command });
    await this.until(() => this.replies.has(id));
    return this.replies.get(id) as Raw;
  }

  /** Resolves when `isSo` returns true. Rejects when the connection has closed. */
  async until(isSo: () => boolean): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const check = (): void => {
      if (isSo()) resolve();
      else if (this.isClosed) reject(new Error("the connection has closed"));
    };
    const timer = setTimeout(() => reject(new Error("what the test waits for didn't come")), DEADLINE_MS);
    this.#changed.add(check);
    check();
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#changed.delete(check);
    }
  }

  #take(data: Buffer): void {
    const all: readonly Raw[] =
      this.encoding === "json"
        ? data
            .toString()
            .split("\n")
            .map((line) => JSON.parse(line))
        : clientProtobuf.decodeReplies(data);
    for (const one of all) {
      if (one["id"]) this.replies.set(one["id"], one);
      else if (one["push"]) this.pushes.push(one["push"]);
      else {
        this.pings++;
        if (this.answersPings) this.send({});
      }
    }
    this.#tell();
  }

  #tell(): void {
    for (const check of [...this.#changed]) check();
  }
}

/** Returns a payload for a client that speaks `encoding`. */
export function payloadFor(encoding: Encoding, value: unknown): unknown {
  return encoding === "json" ? value : new TextEncoder().encode(JSON.stringify(value));
}

/** Returns the value of a payload that a client of `encoding` got. */
export function payloadValue(encoding: Encoding, data: unknown): unknown {
  return encoding === "json" ? data : JSON.parse(new TextDecoder().decode(data as Uint8Array));
}
