/**
 * The clients of the scenario `deploy`, in a process of their own. Each sends a number every 100 ms, whatever comes
 * back, and comes back after a random time of at most a second when its connection closes, as good clients do.
 *
 *     node bench/deploy/clients.ts PORT CLIENTS
 *
 * Tells over the channel of `fork` when all are connected. At the message "stop" it sends no more, waits for the last
 * answers, and tells what it saw: `ClientsSeen`.
 */
import { WebSocket } from "ws";

/** What the clients saw. Times are milliseconds since 1970. */
export interface ClientsSeen {
  /** All answers in their order: number of the client, and time. */
  readonly answers: readonly (readonly [client: number, at: number])[];
  /** Longest time without an answer of each client since "go". */
  readonly longestMs: readonly number[];
  readonly disconnects: number;
  /** Messages that were sent and never answered. */
  readonly lost: number;
  /** Answers that weren't the next one. */
  readonly wrong: number;
}

/** Time between two messages of a client, in ms. */
const EVERY_MS = 100;
const MAX_BACKOFF_MS = 1_000;
/** Time for the last answers, in ms. */
const LAST_ANSWERS_MS = 3_000;

const [port = "", count = "1000"] = process.argv.slice(2);
const answers: (readonly [number, number])[] = [];
let disconnects = 0;
let lost = 0;
let wrong = 0;
let connected = 0;
let told = false;
/** Time from which on pauses count. */
let since = Number.POSITIVE_INFINITY;
let stopping = false;

const now = (): number => performance.timeOrigin + performance.now();

class Client {
  readonly #number: number;
  #socket: WebSocket | undefined;
  #next = 0;
  #expected = 0;
  #answeredAt = now();
  longestMs = 0;

  constructor(number: number) {
    this.#number = number;
    this.#connect();
    setTimeout(() => setInterval(() => this.#send(), EVERY_MS), Math.random() * EVERY_MS);
  }

  /** Counts the time that passed since the last answer. */
  note(): void {
    const at = now();
    this.longestMs = Math.max(this.longestMs, at - Math.max(this.#answeredAt, since));
    this.#answeredAt = at;
  }

  get unanswered(): number {
    return this.#next - this.#expected;
  }

  #connect(): void {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { perMessageDeflate: false });
    socket.on("error", () => {});
    socket.on("open", () => {
      this.#socket = socket;
      connected++;
      if (connected === Number(count) && !told) {
        told = true;
        process.send?.("connected");
      }
    });
    socket.on("message", (data) => this.#received(String(data)));
    socket.on("close", () => {
      if (this.#socket === socket) {
        disconnects++;
        connected--;
        lost += this.unanswered;
        this.#expected = this.#next;
        this.#socket = undefined;
      }
      if (!stopping) setTimeout(() => this.#connect(), Math.random() * MAX_BACKOFF_MS);
    });
  }

  #send(): void {
    if (stopping || this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#socket.send(String(this.#next++));
  }

  #received(text: string): void {
    if (text !== String(this.#expected)) wrong++;
    this.#expected = Number(text) + 1;
    answers.push([this.#number, now()]);
    this.note();
  }
}

const clients = Array.from({ length: Number(count) }, (_, number) => new Client(number));

process.on("message", (message) => {
  if (message === "go") {
    since = now();
    for (const client of clients) client.longestMs = 0;
    return;
  }
  const longestMs = clients.map((client) => {
    client.note();
    return client.longestMs;
  });
  stopping = true;
  const deadline = now() + LAST_ANSWERS_MS;
  const timer = setInterval(() => {
    const missing = clients.reduce((sum, client) => sum + client.unanswered, 0);
    if (missing > 0 && now() < deadline) return;
    clearInterval(timer);
    const seen: ClientsSeen = { answers, longestMs, disconnects, lost: lost + missing, wrong };
    process.send?.(seen, () => process.exit(0));
  }, 20);
});
