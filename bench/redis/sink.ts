/** A process with the WebSocket clients of all boards: checks the numbers of all messages, and counts. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { answerCalls, reportReceived } from "./calls.ts";
import { Latencies, MESSAGE_BYTES, numberOf, topicOf } from "./messages.ts";

const HEADER_BYTES = 2;
const FRAME_BYTES = HEADER_BYTES + MESSAGE_BYTES;
const [TEXT, PING] = [0x81, 0x89];
/** A pong with a masking key of zeros. */
const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]);

const received: number[] = [];
const latencies = new Latencies();
let wrong = 0;

/** A client: messages are binary frames, and answers of the actor are short text frames. */
class Client {
  readonly socket: Socket;
  readonly #board: number;
  #rest: Buffer = Buffer.alloc(0);
  /** Number of the last message, by the topic. */
  readonly #numbers: (number | undefined)[] = [];
  #answered: ((text: string) => void) | undefined;
  messages = 0;

  private constructor(socket: Socket, board: number) {
    this.socket = socket;
    this.#board = board;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
  }

  static async open(port: number, board: number): Promise<Client> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    const key = randomBytes(16).toString("base64");
    socket.write(
      `GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
    );
    await once(socket, "data");
    return new Client(socket, board);
  }

  /** Sends a text to the actor. Resolves with the answer. */
  ask(text: string): Promise<string> {
    // A masking key of zeros leaves the payload as it is.
    const header = Buffer.from([TEXT, 0x80 | text.length, 0, 0, 0, 0]);
    this.socket.write(Buffer.concat([header, Buffer.from(text)]));
    return new Promise((resolve) => {
      this.#answered = resolve;
    });
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (at + HEADER_BYTES <= bytes.length) {
      const end = at + HEADER_BYTES + Number(bytes[at + 1]);
      if (end > bytes.length) break;
      if (bytes[at] === TEXT) this.#answered?.(bytes.toString("latin1", at + HEADER_BYTES, end));
      else if (bytes[at] === PING) this.socket.write(PONG);
      else this.#take(bytes, at, end);
      at = end;
    }
    this.#rest = bytes.subarray(at);
  }

  #take(bytes: Buffer, at: number, end: number): void {
    const [topic, number] = [topicOf(bytes, at + HEADER_BYTES), numberOf(bytes, at + HEADER_BYTES)];
    const before = this.#numbers[topic];
    if (end - at !== FRAME_BYTES || (before !== undefined && number !== before + 1)) wrong++;
    this.#numbers[topic] = number;
    this.messages++;
    received[this.#board] = (received[this.#board] ?? 0) + 1;
    if (latencies.isRecording) latencies.record(bytes, at + HEADER_BYTES);
  }
}

const returning: Client[] = [];

answerCalls({
  /** Opens clients on each board, and lets them share the topics. */
  async subscribe({
    ports,
    topics,
    clients,
  }: {
    ports: readonly number[];
    topics: readonly string[];
    clients: number;
  }) {
    for (const [board, port] of ports.entries()) {
      received[board] ??= 0;
      const opened: Client[] = [];
      for (let i = 0; i < clients; i++) opened.push(await Client.open(port, board));
      for (const [i, topic] of topics.entries()) await opened[i % clients]?.ask(`subscribe ${topic}`);
    }
  },
  /** Opens clients that don't subscribe yet. */
  async open({ port, clients }: { port: number; clients: number }) {
    for (let i = 0; i < clients; i++) returning.push(await Client.open(port, 0));
  },
  /** Lets them subscribe from a position, all at once. Returns the number of messages of each. */
  async resume(text: string) {
    await Promise.all(returning.map((client) => client.ask(text)));
    return returning.map(({ messages }) => messages);
  },
  reportReceived: () => reportReceived(received),
  wrong: () => wrong,
  receivedSoFar: () => received,
  beginLatencies: () => latencies.begin(),
  endLatencies: () => latencies.end(),
});
