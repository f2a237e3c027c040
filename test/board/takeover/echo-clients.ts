/** Clients of `programs/echo.ts`, which know nothing of takeovers and check every byte. */
import { connect, type Socket } from "node:net";
import { setImmediate } from "node:timers/promises";

/** Bytes of a line at most. Some lines are longer than what a socket takes at once. */
const LONGEST_LINE = 40_000;
/** Bytes of a piece: a client writes its lines in pieces, so that a takeover finds unfinished ones. */
const PIECE = 900;
const IN_FLIGHT = 4;

/** One client. Always has some lines on their way. */
export class EchoClient {
  readonly #socket: Socket;
  readonly #seed: number;
  #writing = Promise.resolve();
  #sent = 0;
  #received = 0;
  #rest = "";
  #stopping = false;
  /** Set when the connection closed, or something else than the expected answer came. */
  fault: string | undefined;
  readonly opened = Promise.withResolvers<void>();
  #answered = Promise.withResolvers<void>();
  #idle: (() => void) | undefined;

  constructor(port: number, seed: number) {
    this.#seed = seed;
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket.on("connect", () => {
      this.opened.resolve();
      for (let more = 0; more < IN_FLIGHT; more++) this.#send();
    });
    this.#socket.on("error", (error) => this.#failed(error.message));
    this.#socket.on("close", () => this.#failed("closed"));
    this.#socket.on("data", (chunk) => this.#read(chunk.toString("latin1")));
  }

  get answers(): number {
    return this.#received;
  }

  /** Resolves at the next answer, or at a fault. */
  answered(): Promise<void> {
    return this.fault === undefined ? this.#answered.promise : Promise.resolve();
  }

  /** Sends no more, and resolves when all answers have come, or a fault. */
  stop(): Promise<void> {
    this.#stopping = true;
    return new Promise((resolve) => {
      this.#idle = resolve;
      this.#checkIdle();
    });
  }

  destroy(): void {
    this.fault ??= "stopped";
    this.#socket.destroy();
  }

  #line(number: number): string {
    const length = 20 + ((this.#seed * 7_919 + number * 104_729) % LONGEST_LINE) ** 2 / LONGEST_LINE;
    return `${this.#seed}.${number} `.padEnd(length, String.fromCharCode(97 + ((this.#seed + number) % 26)));
  }

  #send(): void {
    const text = `${this.#line(this.#sent++)}\n`;
    this.#writing = this.#writing.then(() => this.#writePieces(text));
  }

  async #writePieces(text: string): Promise<void> {
    for (let at = 0; at < text.length; at += PIECE) {
      this.#socket.write(text.slice(at, at + PIECE), "latin1");
      if (at + PIECE < text.length) await setImmediate();
    }
  }

  #read(text: string): void {
    this.#rest += text;
    for (let end = this.#rest.indexOf("\n"); end !== -1; end = this.#rest.indexOf("\n")) {
      const expected = `${this.#received} ${this.#line(this.#received)}`;
      const line = this.#rest.slice(0, end);
      if (line !== expected) {
        this.#failed(
          `answer ${this.#received} was ${line.slice(0, 40)} (${line.length}), not ${expected.slice(0, 40)} (${expected.length})`,
        );
        return;
      }
      this.#rest = this.#rest.slice(end + 1);
      this.#received++;
      this.#answered.resolve();
      this.#answered = Promise.withResolvers();
      if (!this.#stopping) this.#send();
    }
    this.#checkIdle();
  }

  #checkIdle(): void {
    if (this.#received === this.#sent || this.fault !== undefined) this.#idle?.();
  }

  #failed(what: string): void {
    this.fault ??= what;
    this.opened.resolve();
    this.#answered.resolve();
    this.#checkIdle();
  }
}

export class EchoClients {
  readonly all: readonly EchoClient[];

  private constructor(all: readonly EchoClient[]) {
    this.all = all;
  }

  /** Resolves when all are connected and each has had an answer. */
  static async open(port: number, count: number): Promise<EchoClients> {
    const clients = new EchoClients(Array.from({ length: count }, (_, seed) => new EchoClient(port, seed)));
    await clients.allAnswered();
    return clients;
  }

  /** Resolves when each client had another answer, or a fault. */
  async allAnswered(): Promise<void> {
    await Promise.all(this.all.map((client) => client.answered()));
  }

  /** Stops all, and returns the faults. */
  async faults(): Promise<string[]> {
    await Promise.all(this.all.map((client) => client.stop()));
    const faults = this.all.map(({ fault }) => fault).filter((fault) => fault !== undefined);
    for (const client of this.all) client.destroy();
    return faults;
  }
}
