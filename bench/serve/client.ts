/**
 * A cheap WebSocket client, and the commands of Centrifuge's client protocol as bytes. The loads of `serve.ts` use it.
 */
import { connect, type Socket } from "node:net";

const [TEXT, BINARY] = [0x81, 0x82];
const NO_BYTES: Buffer = Buffer.alloc(0);
const SHORT = 126;
const LONG = 127;

/**
 * Takes one whole frame, `bytes[start, end)`, whose payload begins at `payload`. The bytes are borrowed for the call.
 */
export type FrameHandler = (bytes: Buffer, payload: number, end: number) => void;

/** Checks nothing that the loads don't check: frames are whole messages without a mask. */
export class RawClient {
  readonly socket: Socket;
  /** Takes frames that no `ask` waits for. */
  received: FrameHandler = () => {};
  #rest = NO_BYTES;
  readonly #asked: ((payload: Buffer) => void)[] = [];

  /** Opens a connection. Rejects if the server refuses or closes it. */
  static open(port: number, path: string, protocol?: string): Promise<RawClient> {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    const offer = protocol === undefined ? "" : `Sec-WebSocket-Protocol: ${protocol}\r\n`;
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${offer}\r\n`,
    );
    return new Promise((resolve, reject) => {
      let head = NO_BYTES;
      const read = (chunk: Buffer): void => {
        head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
        const end = head.indexOf("\r\n\r\n");
        if (end === -1) return;
        if (!head.subarray(0, 12).equals(SWITCHED)) {
          reject(new Error(head.toString("latin1", 0, end)));
          return;
        }
        socket.off("data", read);
        const client = new RawClient(socket);
        resolve(client);
        // The caller is told first, so that nothing is taken before its handler is there.
        if (head.length > end + 4) setImmediate(() => client.#read(head.subarray(end + 4)));
      };
      socket.on("data", read);
      socket.on("error", reject);
      socket.on("close", () => reject(new Error("the server closed a connection")));
    });
  }

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
  }

  /** Sends a message: text as a text frame, bytes as a binary one. */
  send(...messages: readonly (string | Buffer)[]): void {
    this.socket.write(Buffer.concat(messages.map(frame)));
  }

  /** Sends a message. Resolves with a copy of the next one that comes. */
  ask(message: string | Buffer): Promise<Buffer> {
    this.send(message);
    return this.next();
  }

  /** Resolves with a copy of the next message. */
  next(): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#asked.push(resolve);
      this.socket.once("close", () => reject(new Error("the server closed a connection")));
    });
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= 2) {
      let payload = at + 2;
      let length = bytes[at + 1] as number;
      if (length === SHORT) {
        if (bytes.length - at < 4) break;
        length = bytes.readUInt16BE(payload);
        payload += 2;
      } else if (length === LONG) {
        if (bytes.length - at < 10) break;
        length = Number(bytes.readBigUInt64BE(payload));
        payload += 8;
      }
      const end = payload + length;
      if (end > bytes.length) break;
      this.#take(bytes, payload, end);
      at = end;
    }
    this.#rest = at === bytes.length ? NO_BYTES : bytes.subarray(at);
  }

  #take(bytes: Buffer, payload: number, end: number): void {
    const asked = this.#asked.shift();
    if (asked === undefined) this.received(bytes, payload, end);
    else {
      this.socket.removeAllListeners("close");
      asked(Buffer.from(bytes.subarray(payload, end)));
    }
  }
}

const SWITCHED = Buffer.from("HTTP/1.1 101");

/** A masking key of zeros leaves the payload as it is. */
function frame(message: string | Buffer): Buffer {
  const payload = typeof message === "string" ? Buffer.from(message) : message;
  const opcode = typeof message === "string" ? TEXT : BINARY;
  const { length } = payload;
  const header = length < SHORT ? [opcode, 0x80 | length] : [opcode, 0x80 | SHORT, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([...header, 0, 0, 0, 0]), payload]);
}

/** The commands of one codec. */
export interface Commands {
  /** Subprotocol of the WebSocket. */
  readonly protocol: string;
  connect(id: number, token: string): string | Buffer;
  subscribe(id: number, channel: string): string | Buffer;
  /** @param data JSON */
  publish(id: number, channel: string, data: string): string | Buffer;
}

export const JSON_COMMANDS: Commands = {
  protocol: "centrifuge-json",
  connect: (id, token) => JSON.stringify({ id, connect: { token } }),
  subscribe: (id, channel) => JSON.stringify({ id, subscribe: { channel } }),
  publish: (id, channel, data) => `{"id":${id},"publish":{"channel":${JSON.stringify(channel)},"data":${data}}}`,
};

/** Fields by number, as the schema of Centrifuge's protocol has them. Each command is preceded by its length. */
export const PROTOBUF_COMMANDS: Commands = {
  protocol: "centrifuge-protobuf",
  connect: (id, token) => command(id, 4, field(1, token)),
  subscribe: (id, channel) => command(id, 5, field(1, channel)),
  publish: (id, channel, data) => command(id, 7, Buffer.concat([field(1, channel), field(2, data)])),
};

function command(id: number, kind: number, request: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from([1 << 3]), varint(id), field(kind, request)]);
  return Buffer.concat([varint(body.length), body]);
}

/** A field with a length: a text, bytes, or a message. */
function field(number: number, value: string | Buffer): Buffer {
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  return Buffer.concat([Buffer.from([(number << 3) | 2]), varint(bytes.length), bytes]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
}

/** Opens clients, a number of them at a time. Rejects if one of them fails. */
export async function openAll<Client>(
  count: number,
  atOnce: number,
  open: (index: number) => Promise<Client>,
): Promise<Client[]> {
  const clients: Client[] = [];
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < count) {
      const index = next++;
      clients[index] = await open(index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, one));
  return clients;
}

/** Opens a client of the protocol that has connected and subscribed. Returns it with the answer to its subscription. */
export async function subscribed(
  port: number,
  commands: Commands,
  channel: string,
  token = "",
): Promise<{ readonly client: RawClient; readonly answer: Buffer }> {
  const client = await RawClient.open(port, "/connection/websocket", commands.protocol);
  await client.ask(commands.connect(1, token));
  const answer = await client.ask(commands.subscribe(2, channel));
  if (answer.includes("error") || answer.includes("unknown")) throw new Error(answer.toString());
  return { client, answer };
}
