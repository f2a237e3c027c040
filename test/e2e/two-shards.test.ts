import { once } from "node:events";
import { expect, it, onTestFinished } from "vitest";
import { type RawData, WebSocket } from "ws";
import type { Switchboard } from "../../src/index.ts";
import { startBoard } from "../support/board.ts";

const TOPICS = ["news", "sport", "weather"];
const PUBLISHES = 100_000;
/** Number of publishes on their way before all subscribers have acknowledged them. */
const ROUND = 1_000;

interface Client {
  readonly socket: WebSocket;
  readonly shard: number;
}

/** Sends one command to the scripted actor of a client. Resolves with its answer. */
async function tell(socket: WebSocket, command: object): Promise<string> {
  const answer = once(socket, "message") as Promise<[RawData]>;
  socket.send(JSON.stringify(command));
  return String((await answer)[0]);
}

async function open(port: number): Promise<Client> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
  onTestFinished(() => socket.terminate());
  await once(socket, "open");
  return { socket, shard: JSON.parse(await tell(socket, { do: "who" })).shard };
}

/** Opens two clients on each of two shards. */
async function openFour(port: number): Promise<Client[]> {
  const clients: Client[] = [];
  for (let i = 0; i < 4; i++) clients.push(await open(port));
  expect(clients.map(({ shard }) => shard).toSorted()).toEqual([0, 0, 1, 1]);
  return clients;
}

/**
 * Checks the messages of one subscriber: the numbers of each publisher and topic from 0 on, none missing, none twice,
 * in order.
 */
class Receipt {
  readonly problems: string[] = [];
  readonly #next = new Map<string, number>();
  #count = 0;
  #target = 0;
  #reached = Promise.withResolvers<void>();

  constructor(socket: WebSocket) {
    socket.on("message", (data) => this.#take(String(data)));
    socket.on("close", (code) => {
      this.problems.push(`closed with ${code}`);
      this.#reached.resolve();
    });
  }

  get count(): number {
    return this.#count;
  }

  /** Resolves when that many publishes have come in all. */
  reaches(count: number): Promise<void> {
    this.#target = count;
    this.#reached = Promise.withResolvers();
    if (this.#count >= count) this.#reached.resolve();
    return this.#reached.promise;
  }

  #take(publish: string): void {
    const [publisher, topic, number] = publish.split(" ");
    const stream = `${publisher} ${topic}`;
    const expected = this.#next.get(stream) ?? 0;
    if (Number(number) !== expected) this.problems.push(`${stream}: ${number} came where ${expected} was due`);
    this.#next.set(stream, expected + 1);
    this.#count++;
    if (this.#count >= this.#target) this.#reached.resolve();
  }
}

type Publish = (topic: string, data: string) => void;

/** Publishers: four actors, two on each shard, and the board. */
async function publishers(board: Switchboard, port: number): Promise<Publish[]> {
  const actors = await openFour(port);
  const viaActors = actors.map(
    ({ socket }): Publish =>
      (topic, data) =>
        socket.send(JSON.stringify({ do: "publish", topic, data })),
  );
  return [...viaActors, (topic, data) => board.publish(topic, data)];
}

it("delivers 100,000 publishes from both shards and the board to both shards, each once and in its publisher's order", async () => {
  const { board, port } = await startBoard({ actor: "scripted", shards: 2, maxBufferedBytes: 64 * 1024 * 1024 });
  const subscribers = await openFour(port);
  for (const { socket } of subscribers) {
    for (const topic of TOPICS) expect(await tell(socket, { do: "subscribe", topic })).toBe(`subscribed ${topic}`);
  }
  const receipts = subscribers.map(({ socket }) => new Receipt(socket));
  const all = await publishers(board, port);
  const sent = all.map(() => TOPICS.map(() => 0));

  for (let published = 0; published < PUBLISHES; ) {
    for (let i = 0; i < ROUND; i++, published++) {
      // Each publisher goes through all topics, and publishers take turns.
      const publisher = published % all.length;
      const topic = Math.floor(published / all.length) % TOPICS.length;
      const numbers = sent[publisher] ?? [];
      const number = numbers[topic] ?? 0;
      numbers[topic] = number + 1;
      all[publisher]?.(TOPICS[topic] ?? "", `publisher${publisher} ${TOPICS[topic]} ${number}`);
    }
    await Promise.all(receipts.map((receipt) => receipt.reaches(published)));
    for (const { problems } of receipts) expect(problems).toEqual([]);
  }

  // A duplicate would have come before this last message.
  const last = receipts.map((receipt) => receipt.reaches(PUBLISHES + all.length));
  for (const [publisher, publish] of all.entries())
    publish("news", `publisher${publisher} news ${sent[publisher]?.[0]}`);
  await Promise.all(last);
  expect(receipts.map(({ count, problems }) => ({ count, problems }))).toEqual(
    receipts.map(() => ({ count: PUBLISHES + all.length, problems: [] })),
  );
  const { publishesDropped, shards } = board.stats();
  expect(publishesDropped).toBe(0);
  for (const shard of shards) expect(shard).toMatchObject({ publishesDropped: 0, slowConsumersClosed: 0 });
}, 120_000);

it("delivers every publish that starts after a subscription was acknowledged, from the board and the other shard", async () => {
  const { board, port } = await startBoard({ actor: "scripted", shards: 2 });
  const clients = await openFour(port);
  const subscriber = clients[0];
  const other = clients.find(({ shard }) => shard !== subscriber?.shard);
  if (subscriber === undefined || other === undefined) throw new Error("there is one on each shard");
  for (let i = 0; i < 200; i++) {
    const topic = `topic ${i}`;
    expect(await tell(subscriber.socket, { do: "subscribe", topic })).toBe(`subscribed ${topic}`);
    const got = once(subscriber.socket, "message");
    if (i % 2 === 0) board.publish(topic, topic);
    else other.socket.send(JSON.stringify({ do: "publish", topic, data: topic }));
    expect(String((await got)[0])).toBe(topic);
  }
});

it("delivers a publisher's own publish to it only on request", async () => {
  const { port } = await startBoard({ actor: "scripted", shards: 2 });
  const clients = await openFour(port);
  for (const { socket } of clients) await tell(socket, { do: "subscribe", topic: "news" });
  const [publisher, ...others] = clients.map(({ socket }) => socket);
  if (publisher === undefined) throw new Error("there are four");
  const atOthers = others.map((socket) => once(socket, "message"));
  const atPublisher = once(publisher, "message");
  publisher.send(JSON.stringify({ do: "publish", topic: "news", data: "to the others" }));
  for (const got of atOthers) expect(String((await got)[0])).toBe("to the others");
  publisher.send(JSON.stringify({ do: "publish", topic: "news", data: "to all", self: true }));
  expect(String((await atPublisher)[0])).toBe("to all");
});

it("delivers nothing after unsubscribe, and removes a client that is gone from its topics", async () => {
  const { board, port } = await startBoard({ actor: "scripted", shards: 2 });
  const clients = await openFour(port);
  for (const { socket } of clients) await tell(socket, { do: "subscribe", topic: "news" });
  const [leaves, gone, ...stay] = clients.map(({ socket }) => socket);
  if (leaves === undefined || gone === undefined) throw new Error("there are four");
  await tell(leaves, { do: "unsubscribe", topic: "news" });
  gone.close();
  await once(gone, "close");

  const deliveries = (): number => board.stats().shards.reduce((sum, shard) => sum + shard.deliveries, 0);
  const before = deliveries();
  const got = stay.map((socket) => once(socket, "message"));
  board.publish("news", "hello");
  await Promise.all(got);
  // The next message of the client that left the topic is the answer to its question, not the publish.
  expect(await tell(leaves, { do: "unsubscribe", topic: "news" })).toBe("unsubscribed news");
  expect(deliveries() - before).toBe(2);
});
