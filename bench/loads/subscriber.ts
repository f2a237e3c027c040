/** A subscriber for `loads/bus.ts`. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";

const HEADER_BYTES = 2;
const PAYLOAD_BYTES = 64;
const FRAME_BYTES = HEADER_BYTES + PAYLOAD_BYTES;
const BINARY = 0x82;

/** A cheap subscriber for the load `bus`: parses only the frames that the actor of `targets/actors/bus.ts` sends. */
export class Subscriber {
  readonly shard: number;
  /** Number of messages with wrong content or in the wrong order, and of socket failures. */
  wrong = 0;
  readonly #socket: Socket;
  readonly #delivered: (messages: number) => void;
  #expected = 0;
  #rest: Buffer = Buffer.alloc(0);

  /** Opens a connection. `delivered` gets the number of messages of each chunk. */
  static async open(url: string, delivered: (messages: number) => void): Promise<Subscriber> {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    socket.write(
      `GET / HTTP/1.1\r\nHost: ${hostname}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\n\r\n`,
    );
    // The response ends with an empty line. The first message follows: a text of one digit, the number of the shard.
    let response = "";
    while (!/\r\n\r\n.{3}/s.test(response)) response += String((await once(socket, "data"))[0].toString("latin1"));
    if (!response.startsWith("HTTP/1.1 101")) throw new Error(response);
    return new Subscriber(socket, Number(response.at(-1)), delivered);
  }

  private constructor(socket: Socket, shard: number, delivered: (messages: number) => void) {
    this.#socket = socket;
    this.shard = shard;
    this.#delivered = delivered;
  }

  /** Subscribes, and counts messages from then on. */
  async subscribe(): Promise<void> {
    const text = Buffer.from("subscribe");
    // A masking key of zeros leaves the payload as it is.
    this.#socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), text]));
    await once(this.#socket, "data");
    this.#socket.on("data", (chunk: Buffer) => this.#read(chunk));
    this.#socket.on("error", () => this.wrong++);
    this.#socket.on("close", () => this.wrong++);
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const messages = Math.floor(bytes.length / FRAME_BYTES);
    for (let at = 0; at < messages * FRAME_BYTES; at += FRAME_BYTES) {
      const number = bytes.readUInt32LE(at + HEADER_BYTES);
      if (bytes[at] !== BINARY || bytes[at + 1] !== PAYLOAD_BYTES || number !== this.#expected) this.wrong++;
      this.#expected = number + 1;
    }
    this.#rest = bytes.subarray(messages * FRAME_BYTES);
    this.#delivered(messages);
  }
}
