/**
 * Subscribers of streams and presence that move all the time, with peers that check all they get. `streams.test.ts`
 * runs it.
 */
import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { onTestFinished } from "vitest";
import { WebSocket } from "ws";
import type { Address, EngineSpec, Switchboard } from "../../../src/index.ts";
import { startBoard } from "../../support/board.ts";

export interface StreamRun {
  readonly actor: "streaming" | "streaming-naively";
  readonly engines: readonly EngineSpec[];
  readonly shards: number;
  /** Subscribers of each board. */
  readonly subscribers: number;
  /** Moves of each subscriber. After them come reloads and an evacuation. */
  readonly hops: number;
  readonly reloads: number;
  /** Number of publishes to one topic at which the publisher waits for a turn of the loop. */
  readonly burst: number;
}

export interface StreamResult {
  readonly problems: readonly string[];
  readonly moves: number;
  readonly published: number;
}

const HISTORY = { size: 20 };
const PRESENCE = { leaveGraceMs: 0 };
const TOPIC_RULES = {
  "stream:*": { history: HISTORY, presence: PRESENCE },
  "presence:*": { presence: PRESENCE },
};
const NAMES = ["stream:raw", "stream:encoded", "presence:raw", "presence:encoded", "plain"];
const WATCHED = ["stream:encoded", "presence:raw"];

/** What one peer got: the next number of each publisher and topic, and joins and leaves by topic. */
class Receipt {
  readonly problems: string[] = [];
  readonly next = new Map<string, number>();
  readonly changes = new Map<string, number>();
  readonly socket: WebSocket;
  #offset: number | undefined;

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("close", (code) => this.#tell(`closed with ${code}`));
  }

  begin(): void {
    this.socket.on("message", (data) => this.#got(String(data)));
  }

  #got(text: string): void {
    const [kind = "", topic = "", publisher = "", number = "", offset] = text.split(" ");
    if (kind === "joined" || kind === "left") {
      const key = `${kind} ${topic}`;
      this.changes.set(key, (this.changes.get(key) ?? 0) + 1);
    } else if (kind !== "publication") {
      this.#tell(text);
    } else {
      const key = `${topic} ${publisher}`;
      const expected = this.next.get(key) ?? 0;
      if (Number(number) !== expected) this.#tell(`${key} ${number}, not ${expected}`);
      this.next.set(key, Number(number) + 1);
      if (topic === "stream:encoded" && offset !== "0") this.#follow(Number(offset));
    }
  }

  #follow(offset: number): void {
    if (this.#offset !== undefined && offset !== this.#offset + 1) this.#tell(`offset ${offset} after ${this.#offset}`);
    this.#offset = offset;
  }

  #tell(problem: string): void {
    if (this.problems.length < 5) this.problems.push(problem);
  }
}

async function open(port: number): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
  onTestFinished(() => socket.terminate());
  await once(socket, "open");
  return socket;
}

/** Resolves with the address of the actor. */
async function subscribe(socket: WebSocket): Promise<Address> {
  const told = new Promise<Address>((resolve) => {
    socket.on("message", (data) => {
      const [word, address] = String(data).split(" ");
      if (word === "subscribed") resolve(address as Address);
    });
  });
  socket.send("subscribe");
  return told;
}

/** Publishes to all topics, stored and not, until told to stop. */
class Publisher {
  readonly #boards: readonly Switchboard[];
  readonly #burst: number;
  #isOver = false;
  /** Publishes of each publisher to each topic. */
  count = 0;
  readonly done: Promise<void>;

  constructor(boards: readonly Switchboard[], burst: number) {
    this.#boards = boards;
    this.#burst = burst;
    this.done = this.#run();
  }

  async stop(): Promise<number> {
    this.#isOver = true;
    await this.done;
    return this.count;
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      const stored: Promise<unknown>[] = [];
      for (let i = 0; i < this.#burst; i++, this.count++) {
        for (const [index, board] of this.#boards.entries()) {
          for (const topic of NAMES) {
            const result = board.publish(topic, `publication ${topic} p${index} ${this.count}`);
            if (result.stored !== undefined) stored.push(result.stored.catch(() => {}));
          }
          void board.publish("stream:raw", `publication stream:raw u${index} ${this.count}`, { store: false });
        }
      }
      await Promise.all(stored);
      await turn();
    }
  }
}

/** Everything that each subscriber has to get in the end. */
function expected(boards: number, count: number): Map<string, number> {
  const all = new Map<string, number>();
  for (let index = 0; index < boards; index++) {
    for (const topic of NAMES) all.set(`${topic} p${index}`, count);
    all.set(`stream:raw u${index}`, count);
  }
  return all;
}

/** Clients that come and go while others move: their joins and leaves are told, once each. */
async function comeAndGo(port: number, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    const socket = await open(port);
    await subscribe(socket);
    socket.close();
    await once(socket, "close");
  }
}

/** Resolves when all peers have been told of all joins until now: of one more that comes and goes, they hear later. */
async function toldOfJoins(port: number, receipts: readonly Receipt[]): Promise<void> {
  const socket = await open(port);
  const address = await subscribe(socket);
  const told = receipts.map(
    ({ socket: peer }) =>
      new Promise<void>((resolve) => {
        const missing = new Set(WATCHED);
        const hear = (data: unknown): void => {
          const [kind, topic = "", member] = String(data).split(" ");
          if (kind === "left" && member === address) missing.delete(topic);
          if (missing.size > 0) return;
          peer.off("message", hear);
          resolve();
        };
        peer.on("message", hear);
      }),
  );
  socket.close();
  await Promise.all(told);
}

export async function runStreams({
  actor,
  engines,
  shards,
  subscribers,
  hops,
  reloads,
  burst,
}: StreamRun): Promise<StreamResult> {
  const started = await Promise.all(
    engines.map((engine) =>
      startBoard({ actor, engine, shards, topics: TOPIC_RULES, maxBufferedBytes: 64 * 1024 * 1024 }),
    ),
  );
  const boards = started.map(({ board }) => board);
  const receipts: Receipt[] = [];
  const moving: { readonly board: Switchboard; readonly address: Address }[] = [];
  for (const { board, port } of started) {
    for (let i = 0; i < subscribers; i++) {
      const receipt = new Receipt(await open(port));
      moving.push({ board, address: await subscribe(receipt.socket) });
      receipts.push(receipt);
    }
  }
  const present = receipts.length;
  await settled(() => boards.map((board) => board.presence("presence:raw")), present);
  await toldOfJoins(started[0]?.port ?? 0, receipts);
  for (const receipt of receipts) receipt.begin();

  const publisher = new Publisher(boards, burst);
  let moves = 0;
  const problems: string[] = [];
  for (const board of boards) {
    board.on("engineDown", () => problems.push("the engine was down"));
    board.on("engineLost", (error) => problems.push(`the engine thread was lost: ${error.message}`));
    board.on("shardLost", ({ reason }) => problems.push(`a shard was lost: ${reason}`));
  }
  await Promise.all(
    moving.map(async ({ board, address }, index) => {
      for (let hop = 0; hop < hops; hop++) {
        const result = await board.move(address, (index + hop) % shards);
        if (result.moved) moves++;
        else problems.push(`stayed: ${result.reason}`);
      }
    }),
  );
  const visits = 3;
  await Promise.all([
    ...started.map(({ port }) => comeAndGo(port, visits)),
    ...boards.map(async (board) => {
      for (let i = 0; i < reloads; i++) {
        const { moved, closed } = await board.reload();
        moves += moved;
        if (closed > 0) problems.push(`a reload closed ${closed}`);
      }
      const { moved } = await board.evacuate(0);
      moves += moved;
    }),
  ]);
  const count = await publisher.stop();
  const wanted = expected(boards.length, count);
  const changes = visits * boards.length;
  await patiently(
    () =>
      receipts.every(
        ({ next, changes: told }) =>
          [...wanted].every(([key, number]) => (next.get(key) ?? 0) >= number) &&
          WATCHED.every((topic) => (told.get(`left ${topic}`) ?? 0) >= changes),
      ),
    actor === "streaming" ? 60_000 : 0,
  );
  for (const receipt of receipts) {
    problems.push(...receipt.problems);
    for (const [key, number] of wanted) {
      if (receipt.next.get(key) !== number) problems.push(`${key}: got ${receipt.next.get(key)} of ${number}`);
    }
    for (const topic of WATCHED) {
      for (const kind of ["joined", "left"]) {
        const told = receipt.changes.get(`${kind} ${topic}`) ?? 0;
        if (told !== changes) problems.push(`${told} ${kind} ${topic}, not ${changes}`);
      }
    }
  }
  for (const board of boards) {
    for (const topic of ["stream:raw", "presence:raw"]) {
      const { length } = await board.presence(topic);
      if (length !== present) problems.push(`${length} present in ${topic}, not ${present}`);
    }
    const failed = board.stats().shards.reduce((sum, { movesFailed }) => sum + movesFailed, 0);
    if (failed > 0) problems.push(`${failed} moves failed`);
  }
  return { problems, moves, published: count };
}

/** Waits until something holds, but not for ever. */
async function patiently(holds: () => boolean, patienceMs: number): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!holds() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
}

async function settled(lists: () => Promise<readonly unknown[]>[], length: number): Promise<void> {
  for (;;) {
    const all = await Promise.all(lists());
    if (all.every((list) => list.length === length)) return;
  }
}
