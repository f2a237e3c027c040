/** What other nodes of a cluster publish and send while a process of the cluster is taken over by another. */
import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { WebSocket } from "ws";
import { redis } from "../../../src/engines/redis/index.ts";
import type { Address, EngineSpec, Switchboard } from "../../../src/index.ts";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { actorUrl, startBoard } from "../../support/board.ts";
import { RedisServer } from "../../support/redis-server.ts";
import { RunningProgram } from "../support/process.ts";
import type { PublisherOptions } from "./programs/publisher.ts";
import type { ServerOptions } from "./programs/server.ts";
import { ServerProcess, takeoverPath } from "./server-process.ts";
import { openStreamingClients } from "./streaming-clients.ts";

const TOPICS = { "stream:*": { history: { size: 100 }, presence: true }, "presence:*": { presence: true } };

/** Topics on which no publication, or not each, can be read again. */
const LIVE: PublisherOptions["topics"] = [
  { topic: "plain" },
  { topic: "presence:raw" },
  { topic: "stream:raw", store: false },
  { topic: "stream:encoded", store: 2 },
];

/** Publishes to each topic in a millisecond. */
const RATE = process.env["TAKEOVERS"] === "all" ? 3 : 1;

/** A client of a `Streaming` actor that checks the numbers of publications as they come. */
class CountingClient {
  /** Number of the next publication, by topic. */
  readonly next = new Map<string, number>();
  /** Publications that were missed, doubled or out of order. */
  readonly faults: string[] = [];

  static async open(port: number): Promise<CountingClient> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}`);
    onTestFinished(() => socket.terminate());
    await once(socket, "open");
    const client = new CountingClient();
    const subscribed = Promise.withResolvers<void>();
    socket.on("message", (data) => {
      const [word = "", topic = "", number = ""] = String(data).split(" ");
      if (word === "subscribed") subscribed.resolve();
      else if (word === "publication") client.#take(topic, Number(number));
    });
    socket.on("close", (code) => client.faults.push(`closed with ${code}`));
    socket.send("subscribe");
    await subscribed.promise;
    return client;
  }

  #take(topic: string, number: number): void {
    const due = this.next.get(topic) ?? 0;
    if (number !== due) this.faults.push(`${topic}: ${number} in the place of ${due}`);
    this.next.set(topic, number + 1);
  }
}

async function startServer(engine: EngineSpec, actor = "streaming", listen: ServerOptions["listen"] = [{}]) {
  const start = { actor, engine, topics: TOPICS, takeover: takeoverPath(), shards: 2, warmUp: false };
  const run = (): ServerProcess => new ServerProcess({ start, listen });
  const old = run();
  const { ports } = await old.tells("listening");
  return { old, run, port: ports[0] as number };
}

function startPublisher(options: PublisherOptions): RunningProgram {
  const program = fileURLToPath(new URL("programs/publisher.ts", import.meta.url));
  const running = new RunningProgram(process.execPath, [program, JSON.stringify(options)]);
  onTestFinished(() => running.destroy());
  return running;
}

/** Asks for the lengths of lists all the time. */
class ListPolls {
  readonly #lengths = new Map<string, Set<number>>();
  readonly #polls: Promise<void>[] = [];
  #isOver = false;

  constructor() {
    // A test that fails calls no `end`.
    onTestFinished(() => {
      this.#isOver = true;
    });
  }

  /** @param length a call that a process gave up at its end is made again */
  poll(name: string, length: () => Promise<number>): void {
    const lengths = this.#lengths.get(name) ?? new Set();
    this.#lengths.set(name, lengths);
    const poll = async (): Promise<void> => {
      while (!this.#isOver) {
        // A call that fails at once, and the next, and so on, would let nothing else run.
        const one = await length().catch(() => turn(undefined));
        if (one !== undefined) lengths.add(one);
      }
    };
    this.#polls.push(poll());
  }

  /** Returns each length that was answered, by name. */
  async end(): Promise<Map<string, number[]>> {
    this.#isOver = true;
    await Promise.all(this.#polls);
    return new Map([...this.#lengths].map(([name, lengths]) => [name, [...lengths]]));
  }
}

/** A client of a `MovingMail` actor. */
class MailClient {
  readonly socket: WebSocket;

  private constructor(socket: WebSocket) {
    this.socket = socket;
  }

  static async open(port: number): Promise<MailClient> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}`);
    onTestFinished(() => socket.terminate());
    await once(socket, "open");
    return new MailClient(socket);
  }

  async asks(question: string): Promise<string> {
    const answer = once(this.socket, "message");
    this.socket.send(question);
    return String((await answer)[0]);
  }
}

/** Sends mail to an actor all the time: a tell and an ask in turn, of which a few wait. */
class Letters {
  readonly #board: Switchboard;
  readonly #to: Address;
  readonly #sent: string[] = [];
  readonly #waiting = new Set<Promise<void>>();
  readonly #sending: Promise<void>;
  readonly faults: unknown[] = [];
  #settled = 0;
  #isOver = false;

  constructor(board: Switchboard, to: Address) {
    this.#board = board;
    this.#to = to;
    this.#sending = this.#sendAll();
  }

  async #sendAll(): Promise<void> {
    while (!this.#isOver && this.faults.length === 0) {
      const letter = `${this.#sent.length}`;
      this.#sent.push(letter);
      const outcome = this.#sent.length % 2 === 0 ? this.#tell(letter) : this.#ask(letter);
      const settled = outcome.then(
        () => {
          this.#settled++;
          this.#waiting.delete(settled);
        },
        (error) => void this.faults.push(error),
      );
      this.#waiting.add(settled);
      if (this.#waiting.size >= 16) await Promise.race(this.#waiting);
    }
  }

  async #tell(letter: string): Promise<void> {
    const { status } = await this.#board.tell(this.#to, letter);
    if (status !== "accepted") this.faults.push({ letter, status });
  }

  async #ask(letter: string): Promise<void> {
    const answer = await this.#board.ask(this.#to, letter, { timeoutMs: 60_000 });
    if (answer !== `${letter} answered`) this.faults.push({ letter, answer });
  }

  /** Resolves when some more letters have been answered. */
  async more(): Promise<void> {
    const due = this.#settled + 50;
    await vi.waitFor(() => expect(this.#settled + this.faults.length).toBeGreaterThanOrEqual(due), { timeout: 30_000 });
  }

  /** Resolves with all letters when each has been answered. */
  async end(): Promise<readonly string[]> {
    this.#isOver = true;
    await this.#sending;
    await Promise.all(this.#waiting);
    return this.#sent;
  }
}

describe.skipIf(whyNoPassing() !== undefined)("a node of a cluster that is taken over", () => {
  it("delivers every publish of another node once and in order, with and without history, stored or not", async () => {
    const { url } = await RedisServer.start();
    const engine = redis({ url, commandTimeoutMs: 60_000, nodeTtlMs: 120_000 });
    const server = await startServer(engine);
    const clients = await Promise.all(Array.from({ length: 4 }, () => CountingClient.open(server.port)));
    const start = { actor: String(actorUrl("echo")), engine, topics: TOPICS };
    const publisher = startPublisher({ start, topics: LIVE, rate: RATE });
    await publisher.prints(/publishing/);
    let { old } = server;
    for (let takeover = 0; takeover < 2; takeover++) {
      const next = server.run();
      expect(await next.tells("takenOver")).toMatchObject({ connections: clients.length });
      await old.end();
      old = next;
    }
    process.kill(publisher.pid, "SIGUSR2");
    const [, published = ""] = await publisher.prints(/^({.*})$/m);
    const { count } = JSON.parse(published);
    expect(count).toBeGreaterThan(0);
    const all = LIVE.map(({ topic }) => [topic, count]).toSorted();
    await vi.waitFor(
      () => {
        for (const { next } of clients) expect([...next].toSorted()).toEqual(all);
      },
      { timeout: 30_000 },
    );
    for (const { faults } of clients) expect(faults).toEqual([]);
  });

  it("stays whole in the lists of presence at every moment, in all processes, and nobody hears of a join or leave", async () => {
    const { url } = await RedisServer.start();
    const engine = redis({ url, commandTimeoutMs: 60_000, nodeTtlMs: 120_000 });
    const server = await startServer(engine, "streaming", ["http"]);
    const { board: other, port: otherPort } = await startBoard({
      actor: actorUrl("streaming"),
      engine,
      topics: TOPICS,
    });
    const clients = await openStreamingClients([...new Array<number>(8).fill(server.port), otherPort]);
    const lists = new ListPolls();
    for (const topic of ["stream:raw", "presence:raw"]) {
      lists.poll("the other node", async () => (await other.presence(topic)).length);
      lists.poll("statistics", async () => (await other.presenceStats(topic)).connections);
      lists.poll("the server", async () => {
        const response = await fetch(`http://127.0.0.1:${server.port}/api/presence?topic=${topic}`);
        return ((await response.json()) as unknown[]).length;
      });
    }
    let { old } = server;
    for (let takeover = 0; takeover < 2; takeover++) {
      const next = server.run();
      expect(await next.tells("takenOver")).toMatchObject({ connections: clients.length - 1 });
      await old.end();
      old = next;
    }
    expect(await lists.end()).toEqual(
      new Map([
        ["the other node", [clients.length]],
        ["statistics", [clients.length]],
        ["the server", [clients.length]],
      ]),
    );
    expect(clients.flat()).toEqual([]);
  });

  it("gets all mail of another node to a connection that has moved, before, during and after: once and in order", async () => {
    const { url } = await RedisServer.start();
    const engine = redis({ url, commandTimeoutMs: 60_000, nodeTtlMs: 120_000 });
    const server = await startServer(engine, "moving-mail");
    const { board: other } = await startBoard({ engine });
    const [client, sibling] = await Promise.all([MailClient.open(server.port), MailClient.open(server.port)]);
    const to = (await client.asks("address|")) as Address;
    await vi.waitFor(() => expect(other.nodes()).toHaveLength(2), { timeout: 30_000 });
    const letters = new Letters(other, to);
    let { old } = server;
    for (let takeover = 0; takeover < 3; takeover++) {
      await letters.more();
      const next = server.run();
      await next.tells("takenOver");
      await letters.more();
      await old.end();
      await letters.more();
      old = next;
    }
    const sent = await letters.end();
    expect(letters.faults).toEqual([]);
    expect(JSON.parse(await client.asks("report"))).toEqual(sent);
    // An actor of the same process has the same way.
    expect(await sibling.asks(`tell|${to}|sibling|0|3`)).toBe("[]");
    // Only one process of the chain is in the cluster.
    await vi.waitFor(() => expect(other.nodes()).toHaveLength(2), { timeout: 30_000 });
    const closed = once(client.socket, "close");
    expect(await other.disconnect(to, 4_001, "told to")).toBe(true);
    expect((await closed)[0]).toBe(4_001);
    expect(await other.tell(to, "late")).toMatchObject({ status: "gone" });
  });
});
