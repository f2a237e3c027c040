/**
 * A client that knows nothing of moves and checks every byte of a `Counting` actor: order, count and content of all
 * answers. Used by the tests of moves and by `npm run moves`.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { clientFrame } from "./frames.ts";
import { upgradeRequest } from "./raw-client.ts";

export interface CountedOptions {
  readonly port: number;
  readonly path?: string;
  /** Messages that wait for their answers at a time. Default: 4. */
  readonly window?: number;
  /** Size of the message with this number, in bytes. Default: 20 to 200. */
  readonly sizeOf?: (number: number) => number;
  /** Bytes that are written at once; the next follow in another turn. Default: a whole message. */
  readonly pieceBytes?: number;
  /** Milliseconds between two reads of the answers. Default: reads at once. */
  readonly readEveryMs?: number;
  /** Milliseconds from an answer to the next message. Default: 0. */
  readonly thinkMs?: number;
}

/** A header that ends the opening handshake. */
const HEAD_END = Buffer.from("\r\n\r\n");

export class CountedClient {
  readonly socket: Socket;
  readonly #options: Required<Omit<CountedOptions, "port" | "path">>;
  readonly #sent: Buffer[] = [];
  /** Times at which the messages in `#sent` were made. */
  readonly #sentAt: number[] = [];
  /** Time from each message to its answer, in ms. */
  readonly waits: number[] = [];
  #sentCount = 0;
  /** Number of right answers. */
  answers = 0;
  /** Everything that was wrong. */
  readonly errors: string[] = [];
  #chunks: Buffer[] = [];
  #buffered = 0;
  #open = false;
  #stopped = false;
  readonly #idle = Promise.withResolvers<void>();
  #writing: Promise<void> = Promise.resolve();

  private constructor(socket: Socket, options: CountedOptions) {
    const {
      window = 4,
      sizeOf = (number) => 20 + ((number * 37) % 180),
      pieceBytes = Infinity,
      readEveryMs = 0,
      thinkMs = 0,
    } = options;
    this.socket = socket;
    this.#options = { window, sizeOf, pieceBytes, readEveryMs, thinkMs };
    socket.setNoDelay(true);
    socket.on("error", (error) => this.errors.push(error.message));
    socket.on("close", () => {
      if (!this.#stopped || this.#sent.length > 0 || this.#sentCount === 0)
        this.errors.push(`closed after ${this.answers} answers`);
      this.#idle.resolve();
    });
    socket.on("data", (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#buffered += chunk.length;
      this.#read();
      if (readEveryMs === 0) return;
      socket.pause();
      setTimeout(() => socket.resume(), readEveryMs);
    });
  }

  static async open(options: CountedOptions): Promise<CountedClient> {
    const socket = connect({ port: options.port, host: "127.0.0.1" });
    await once(socket, "connect");
    const client = new CountedClient(socket, options);
    socket.write(upgradeRequest({ path: options.path ?? "/" }));
    return client;
  }

  /**
   * Sends nothing more, but at least one message. Resolves when all answers are there, or the connection has closed.
   */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#tellIdle();
    await this.#idle.promise;
    this.socket.destroy();
  }

  #fill(): void {
    while ((!this.#stopped || this.#sentCount === 0) && this.#sent.length < this.#options.window) {
      const number = this.#sentCount++;
      const payload = Buffer.allocUnsafe(this.#options.sizeOf(number));
      for (let i = 0; i < payload.length; i++) payload[i] = (number * 31 + i * 7 + (i >> 8)) & 0xff;
      this.#sent.push(payload);
      this.#sentAt.push(performance.now());
      const frame = clientFrame(0x2, payload);
      this.#writing = this.#writing.then(() => this.#write(frame));
    }
  }

  async #write(frame: Buffer): Promise<void> {
    const { pieceBytes } = this.#options;
    for (let at = 0; at < frame.length && !this.socket.destroyed; at += pieceBytes) {
      this.socket.write(frame.subarray(at, at + pieceBytes));
      if (frame.length > pieceBytes) await new Promise((resolve) => setImmediate(resolve));
      if (pieceBytes === Infinity) return;
    }
  }

  #read(): void {
    if (!this.#open) {
      const all = this.#take();
      const end = all.indexOf(HEAD_END);
      if (end < 0) {
        this.#putBack(all);
        return;
      }
      this.#open = true;
      if (!all.toString("latin1", 0, 12).endsWith("101")) this.errors.push("no 101");
      this.#putBack(all.subarray(end + HEAD_END.length));
    }
    for (let length = this.#answerBytes(); length > 0 && this.#buffered >= length; length = this.#answerBytes()) {
      const all = this.#take();
      this.#check(all.subarray(0, length));
      this.#putBack(all.subarray(length));
    }
    if (this.#options.thinkMs === 0 || this.#sentCount === 0 || this.#stopped) this.#fill();
    else setTimeout(() => this.#fill(), this.#options.thinkMs);
    this.#tellIdle();
  }

  #tellIdle(): void {
    if (this.#stopped && this.#sentCount > 0 && this.#sent.length === 0) this.#idle.resolve();
  }

  /** Bytes of the frame that answers the oldest message. */
  #answerBytes(): number {
    const oldest = this.#sent[0];
    if (oldest === undefined) return 0;
    const bytes = oldest.length + 4;
    return bytes + (bytes < 126 ? 2 : bytes < 65_536 ? 4 : 10);
  }

  #check(frame: Buffer): void {
    const payload = this.#sent.shift() as Buffer;
    this.waits.push(performance.now() - (this.#sentAt.shift() as number));
    const got = frame.subarray(frame.length - payload.length - 4);
    if (frame[0] !== 0x82) this.errors.push(`answer ${this.answers} begins with ${frame[0]}`);
    else if (got.readUInt32BE() !== this.answers) this.errors.push(`answer ${this.answers} has ${got.readUInt32BE()}`);
    else if (!got.subarray(4).equals(payload)) this.errors.push(`answer ${this.answers} has other bytes`);
    else this.answers++;
  }

  #take(): Buffer {
    const all = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
    this.#chunks = [];
    this.#buffered = 0;
    return all;
  }

  #putBack(rest: Buffer): void {
    if (rest.length === 0) return;
    this.#chunks = [rest];
    this.#buffered = rest.length;
  }
}
