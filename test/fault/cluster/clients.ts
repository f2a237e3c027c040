/**
 * WebSocket clients of the cluster faults: readers that resume where they were, and writers that number their texts.
 */
import WebSocket from "ws";
import type { Line, StoredText } from "./checker.ts";
import type { Answer, Order } from "./messages.ts";

/** Ports of the boards that run; the clients choose among them. */
export interface Ports {
  readonly ports: readonly number[];
}

/** Time before a client comes back, or asks again for what was refused, in ms. */
const RETRY_MS = 50;

/** Time between an echo and the next message of a bystander, in ms. */
const ECHO_PAUSE_MS = 2;

/** A client that comes back, at another board, until it is ended. */
abstract class Client {
  #socket: WebSocket | undefined;
  #ended = false;
  readonly #ports: Ports;
  readonly #query: string;
  #next: number;
  /** Close codes, in order. */
  readonly closes: number[] = [];
  /** Called after each message. */
  changed = (): void => {};

  constructor(ports: Ports, home: number, query = "") {
    this.#ports = ports;
    this.#next = home;
    this.#query = query;
  }

  get isOpen(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  connect(): void {
    if (this.#ended) return;
    const { ports } = this.#ports;
    const socket = new WebSocket(`ws://127.0.0.1:${ports[this.#next++ % ports.length]}/${this.#query}`);
    this.#socket = socket;
    socket.on("open", () => this.opened());
    socket.on("message", (data) => {
      this.answered(JSON.parse(String(data)) as Answer);
      this.changed();
    });
    socket.on("error", () => {});
    socket.on("close", (code) => {
      this.closes.push(code);
      if (this.#ended) return;
      this.closed();
      setTimeout(() => this.connect(), RETRY_MS);
    });
  }

  /** Cuts the connection, as a tunnel does: the client comes back. */
  cut(): void {
    this.#socket?.terminate();
  }

  end(): void {
    this.#ended = true;
    this.#socket?.terminate();
  }

  protected order(order: Order): void {
    if (this.isOpen) this.#socket?.send(JSON.stringify(order));
  }

  /** Does something later, unless the connection has ended meanwhile. */
  protected later(action: () => void, ms = RETRY_MS): void {
    const socket = this.#socket;
    setTimeout(() => {
      if (this.#socket === socket && this.isOpen) action();
    }, ms);
  }

  protected abstract opened(): void;
  protected abstract answered(answer: Answer): void;
  protected closed(): void {}
}

/** What a reader knows of one topic. */
export class ReadTopic {
  readonly lines: Line[] = [];
  /** Place of the reader; undefined until it has subscribed once. */
  epoch = "";
  offset = -1;
  /** True while the topic is subscribed to, as far as the reader knows. */
  isLive = false;
  /** Number of times that the reader was told of a loss. */
  told = 0;
  /** Newest number of each publisher. */
  readonly newest = new Map<string, number>();
}

export class Reader extends Client {
  readonly name: string;
  readonly topics: ReadonlyMap<string, ReadTopic>;
  /** Number of subscriptions that were rejected, by code. */
  readonly refusals = new Map<string, number>();
  readonly #user: string | undefined;

  /** @param told true if a loss is told by a message, false if by a close frame */
  constructor(name: string, topics: readonly string[], ports: Ports, home: number, told: boolean, user?: string) {
    super(ports, home, told ? "?told" : "");
    this.name = name;
    this.topics = new Map(topics.map((topic) => [topic, new ReadTopic()]));
    this.#user = user;
  }

  get isLive(): boolean {
    return this.isOpen && [...this.topics.values()].every(({ isLive }) => isLive);
  }

  protected override opened(): void {
    for (const topic of this.topics.keys()) this.#subscribe(topic);
  }

  protected override closed(): void {
    for (const read of this.topics.values()) read.isLive = false;
  }

  protected override answered(answer: Answer): void {
    if (!("topic" in answer)) return;
    const { topic } = answer;
    const read = this.topics.get(topic);
    if (read === undefined) throw new Error(`got the topic ${topic}`);
    if (answer.kind === "publication") this.#take(read, answer);
    else if (answer.kind === "refused") {
      this.refusals.set(answer.code, (this.refusals.get(answer.code) ?? 0) + 1);
      this.later(() => this.#subscribe(topic));
    } else if (answer.kind === "lost") {
      read.isLive = false;
      this.#subscribe(topic);
    } else if (answer.kind === "subscribed") {
      const { wasRecovering, recovered, publications, position } = answer;
      for (const publication of publications) this.#take(read, publication);
      const kind = recovered ? "recovered" : wasRecovering ? "told" : "joined";
      if (kind === "told") read.told++;
      read.lines.push({ kind, position });
      read.epoch = position.epoch;
      read.offset = position.offset;
      read.isLive = true;
    }
  }

  #take(read: ReadTopic, { epoch, offset, text }: { epoch: string; offset: number; text: string }): void {
    read.lines.push({ kind: "publication", epoch, offset, text });
    read.epoch = epoch;
    read.offset = offset;
    const [publisher = "", number = ""] = text.split(" ");
    read.newest.set(publisher, Number(number));
  }

  #subscribe(topic: string): void {
    const read = this.topics.get(topic);
    if (read === undefined) return;
    const since = read.offset < 0 ? undefined : { epoch: read.epoch, offset: read.offset };
    this.order({ kind: "subscribe", topic, since, user: this.#user });
  }
}

/** Most publications of a writer that have no answer yet. */
const MAX_UNANSWERED = 100;

/** Time between two publications to a topic, in ms. */
const INTERVAL_MS = 10;

/** Publishes to all topics in turn, with a number of its own for each publication. */
export class Writer extends Client {
  readonly #name: string;
  #lives = 0;
  readonly #topics: readonly string[];
  readonly stored = new Map<string, StoredText[]>();
  readonly rejections = new Map<string, number>();
  /** Publications whose connection ended before their answer. */
  unknown = 0;
  /** Number of the newest publication. */
  number = 0;
  readonly #unanswered = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(name: string, topics: readonly string[], ports: Ports, home: number) {
    super(ports, home);
    this.#name = name;
    this.#topics = topics;
    for (const topic of topics) this.stored.set(topic, []);
  }

  /**
   * Name of the publisher in its texts: another one for each connection, because publications of two connections have
   * no order.
   */
  get source(): string {
    return `${this.#name}.${this.#lives}`;
  }

  get isIdle(): boolean {
    return this.#unanswered.size === 0;
  }

  /** Publishes once to each topic, again and again. */
  run(): void {
    this.#timer = setInterval(() => this.publish(), INTERVAL_MS);
  }

  publish(): void {
    if (!this.isOpen || this.#unanswered.size >= MAX_UNANSWERED) return;
    this.number++;
    for (const topic of this.#topics) {
      // The topic is part of the text, because texts of one topic must not be those of another.
      const text = `${this.source} ${this.number} ${topic}`;
      this.#unanswered.set(text, topic);
      this.order({ kind: "publish", topic, text });
    }
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  override end(): void {
    this.stop();
    super.end();
  }

  protected override opened(): void {
    this.#lives++;
  }

  protected override closed(): void {
    this.unknown += this.#unanswered.size;
    this.#unanswered.clear();
  }

  protected override answered(answer: Answer): void {
    if (answer.kind !== "stored" && answer.kind !== "rejected") return;
    const { text } = answer;
    const topic = this.#unanswered.get(text);
    if (topic === undefined) throw new Error(`an answer that nobody waits for: ${text}`);
    this.#unanswered.delete(text);
    if (answer.kind === "stored") this.stored.get(topic)?.push({ text, position: answer.position });
    else this.rejections.set(answer.code, (this.rejections.get(answer.code) ?? 0) + 1);
  }
}

/** A client that wants no topic, and times its echoes. */
export class Bystander extends Client {
  readonly times: number[] = [];
  /** Time of the board's shard at the newest echo, less the time here, in ms. */
  clockAheadMs = Number.NaN;
  #sentAtMs = 0;

  protected override opened(): void {
    this.#echo();
  }

  protected override answered(answer: Answer): void {
    if (answer.kind !== "echo") return;
    this.times.push(performance.now() - this.#sentAtMs);
    this.clockAheadMs = answer.now - Date.now();
    this.later(() => this.#echo(), ECHO_PAUSE_MS);
  }

  #echo(): void {
    this.#sentAtMs = performance.now();
    this.order({ kind: "echo", text: "echo" });
  }
}
