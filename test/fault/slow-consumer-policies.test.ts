import { describe, expect, it, vi } from "vitest";
import type { ShardStats, SlowConsumer, SlowConsumerPolicy, Switchboard } from "../../src/index.ts";
import { whyNoUring } from "../../src/wire/native/ring.ts";
import { startBoard } from "../support/board.ts";
import { type Entrance, entrances } from "../support/entrances.ts";
import { parseServerFrame, type ServerFrame, text } from "../support/frames.ts";
import { RawClient } from "../support/raw-client.ts";

const MAX_BUFFERED_BYTES = 512 * 1024;
const COUNT = 400;
const BYTES = 64 * 1024;
const CLOSE = 0x8;

const command = (what: Record<string, unknown>): Buffer => text(JSON.stringify(what));

/** The next frames, from now on, until `isLast`. */
function framesUntil(
  client: RawClient,
  isLast: (frame: ServerFrame, count: number) => boolean,
): Promise<ServerFrame[]> {
  client.socket.removeAllListeners("data");
  const frames: ServerFrame[] = [];
  return new Promise((resolve, reject) => {
    let rest: Buffer = Buffer.alloc(0);
    client.socket.on("close", () => reject(new Error("the connection ended first")));
    client.socket.on("data", (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      for (let parsed = parseServerFrame(rest); parsed !== undefined; parsed = parseServerFrame(rest)) {
        rest = parsed.rest;
        const { frame } = parsed;
        frames.push({ ...frame, payload: Buffer.from(frame.payload.subarray(0, 32)) });
        if (isLast(frame, frames.length)) resolve(frames);
      }
    });
    client.socket.resume();
  });
}

interface Stalled {
  readonly board: Switchboard;
  readonly stalled: RawClient;
  readonly publisher: RawClient;
  readonly watcher: RawClient;
  readonly reports: SlowConsumer[];
  readonly shard: () => ShardStats;
  /** Publishes `count` messages on each topic. Returns the outcomes. */
  readonly publish: (topics: readonly string[], count: number) => Promise<Record<string, number>>;
}

/** Starts a board with a subscriber that doesn't read. */
async function setUp(
  start: (options: { actor: string; maxBufferedBytes: number }) => Promise<Entrance>,
  policy: SlowConsumerPolicy,
): Promise<Stalled> {
  const { board, open } = await start({ actor: "flooding", maxBufferedBytes: MAX_BUFFERED_BYTES });
  const reports: SlowConsumer[] = [];
  board.on("slowConsumer", (slow) => reports.push(slow));
  const [stalled, publisher, watcher] = [await open(), await open(), await open()];
  watcher.write(command({ do: "subscribe", topics: ["log"] }));
  expect(await watcher.text()).toBe("subscribed");
  stalled.write(command({ do: "policy", policy }));
  expect(await stalled.text()).toBe(policy);
  stalled.write(command({ do: "subscribe", topics: ["a", "b", "c"] }));
  expect(await stalled.text()).toBe("subscribed");
  stalled.socket.pause();
  const publish = async (topics: readonly string[], count: number): Promise<Record<string, number>> => {
    publisher.write(command({ do: "publish", topics, count, bytes: BYTES }));
    return JSON.parse(await publisher.text());
  };
  const shard = (): ShardStats => {
    const [first] = board.stats().shards;
    if (first === undefined) throw new Error("no shard");
    return first;
  };
  return { board, stalled, publisher, watcher, reports, shard, publish };
}

const numbersOf = (frames: readonly ServerFrame[]): number[] =>
  frames.map(({ payload }) => Number(payload.toString().split(" ")[1]));

function expectIncreasing(numbers: readonly number[]): void {
  expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  expect(new Set(numbers).size).toBe(numbers.length);
}

/** Returns true when the frame has this number, the last. */
const isNumber =
  (number: number) =>
  ({ payload }: ServerFrame): boolean =>
    payload.toString("utf8", 0, 32).split(" ")[1] === String(number);

describe.each(entrances)("over $name, a subscriber that doesn't read", ({ start }) => {
  it("is closed with 1013, after the messages that waited for it, with the policy close", async () => {
    const { stalled, publish, shard, reports } = await setUp(start, "close");
    const { delivered = 0, buffered = 0, closed } = await publish(["a"], COUNT);
    expect(closed).toBe(1);
    const frames = await framesUntil(stalled, ({ opcode }) => opcode === CLOSE);
    const last = frames.pop();
    expect(last?.payload.readUInt16BE()).toBe(1013);
    expect(numbersOf(frames)).toEqual(Array.from({ length: delivered + buffered }, (_, i) => i));
    expect(shard()).toMatchObject({ slowConsumersClosed: 1, droppedNewest: 0, droppedOldest: 0, conflated: 0 });
    await vi.waitFor(() => expect(reports).toMatchObject([{ shard: 0, policy: "close" }]));
  });

  it("gets the oldest messages and loses the newest with dropNewest, and stays connected", async () => {
    const { stalled, publish, shard, reports } = await setUp(start, "dropNewest");
    const { delivered = 0, buffered = 0, dropped = 0, closed } = await publish(["a"], COUNT);
    expect(closed).toBe(0);
    expect(delivered + buffered + dropped).toBe(COUNT);
    expect(shard().droppedNewest).toBe(dropped);
    const numbers = numbersOf(await framesUntil(stalled, (_, count) => count === delivered + buffered));
    expectIncreasing(numbers);
    expect(numbers[0]).toBe(0);
    expect(numbers.at(-1)).toBeLessThan(COUNT - 1);
    // At most one new message for each time that the buffer had drained before.
    await vi.waitFor(() => expect(reports).not.toEqual([]));
    expect(reports.length).toBeLessThan(dropped);
    for (const { policy, bufferedBytes } of reports) {
      expect(policy).toBe("dropNewest");
      expect(bufferedBytes).toBeLessThanOrEqual(MAX_BUFFERED_BYTES);
    }
    expect(await publish(["b"], 1)).toMatchObject({ dropped: 0 });
  });

  it("gets the newest messages with dropOldest", async () => {
    const { stalled, publish, shard } = await setUp(start, "dropOldest");
    const { delivered = 0, buffered = 0 } = await publish(["a"], COUNT);
    expect(delivered + buffered).toBe(COUNT);
    const { droppedOldest } = shard();
    expect(droppedOldest).toBeGreaterThan(0);
    const numbers = numbersOf(await framesUntil(stalled, isNumber(COUNT - 1)));
    expectIncreasing(numbers);
    expect(numbers).toHaveLength(COUNT - droppedOldest);
    // The messages that waited last are consecutive. They fill the buffer, except for the slice that was on its way.
    expect(numbers.slice(-2)).toEqual([COUNT - 2, COUNT - 1]);
  });

  it("gets the last message of each topic with conflate", async () => {
    const { stalled, publish, shard } = await setUp(start, "conflate");
    const { delivered = 0, buffered = 0, closed } = await publish(["a", "b", "c"], COUNT);
    expect({ total: delivered + buffered, closed }).toEqual({ total: COUNT, closed: 0 });
    const { conflated } = shard();
    expect(conflated).toBeGreaterThan(0);
    const frames = await framesUntil(stalled, (_, count) => count === COUNT - conflated);
    const last = new Map<string, number>();
    for (const { payload } of frames) {
      const [topic = "", number] = payload.toString().split(" ");
      expect(Number(number)).toBeGreaterThan(last.get(topic) ?? -1);
      last.set(topic, Number(number));
    }
    const lastThree = [COUNT - 3, COUNT - 2, COUNT - 1];
    expect([...last.values()].toSorted((a, b) => a - b)).toEqual(lastThree);
  });

  it("gets messages sent to it in order with conflate, and is closed when too many wait", async () => {
    const { stalled, watcher, shard } = await setUp(start, "conflate");
    stalled.write(command({ do: "send", count: COUNT, bytes: BYTES }));
    const { sent = 0, buffered = 0, closed = 0 } = JSON.parse(await watcher.text());
    expect(sent + buffered + closed).toBe(COUNT);
    const frames = await framesUntil(stalled, ({ opcode }) => opcode === CLOSE);
    expect(frames.pop()?.payload.readUInt16BE()).toBe(1013);
    expect(numbersOf(frames)).toEqual(Array.from({ length: sent + buffered }, (_, i) => i));
    expect(shard()).toMatchObject({ slowConsumersClosed: 1, conflated: 0 });
  });

  it("is never sent more than it reads by an actor that awaits drained()", async () => {
    const { stalled, watcher, shard } = await setUp(start, "close");
    stalled.write(command({ do: "pour", count: COUNT, bytes: BYTES }));
    stalled.socket.resume();
    const numbers = numbersOf(await framesUntil(stalled, (_, count) => count === COUNT));
    expect(numbers).toEqual(Array.from({ length: COUNT }, (_, i) => i));
    const { sent = 0, buffered = 0, ...lost } = JSON.parse(await watcher.text());
    expect({ total: sent + buffered, lost }).toEqual({ total: COUNT, lost: {} });
    expect(shard().slowConsumersClosed).toBe(0);
  });
});

describe("drained() for a peer that doesn't read", () => {
  it("resolves when the connection ends", async () => {
    const [tcp] = entrances;
    if (tcp === undefined) throw new Error("no entrance");
    const { stalled, watcher } = await setUp(tcp.start, "close");
    // The server learns of the end after a while. It might send all of a smaller number before.
    stalled.write(command({ do: "pour", count: Number.MAX_SAFE_INTEGER, bytes: BYTES }));
    stalled.reset();
    expect(JSON.parse(await watcher.text()).closed).toBe(1);
  });
});

const KINDS = (["node", "uring"] as const)
  .filter((kind) => kind !== "uring" || whyNoUring() === undefined)
  .map((sockets) => ({ sockets }));

it.each(KINDS)(
  "an actor that waits whenever bytes wait sends to a reading peer as much as it likes: $sockets",
  async (kind) => {
    const { board, port } = await startBoard({ actor: "flooding", shards: 1, ...kind });
    const count = 2_000;
    for (let round = 0; round < 5; round++) {
      const reader = await RawClient.open({ port });
      reader.write(command({ do: "pour", count, bytes: 10_000 }));
      const numbers = numbersOf(await framesUntil(reader, (_, seen) => seen === count));
      expect(numbers).toEqual(Array.from({ length: count }, (_, i) => i));
      reader.reset();
    }
    expect(board.stats().shards[0]).toMatchObject({ slowConsumersClosed: 0 });
  },
);

it.each(KINDS)("with conflate and a small limit nobody is closed for messages of one topic: $sockets", async (kind) => {
  const options = { actor: "flooding", maxBufferedBytes: 128 * 1024, shards: 1, ...kind };
  const { board, port } = await startBoard(options);
  const readers = await Promise.all(Array.from({ length: 20 }, () => RawClient.open({ port })));
  for (const reader of readers) {
    reader.write(command({ do: "policy", policy: "conflate" }));
    expect(await reader.text()).toBe("conflate");
    reader.write(command({ do: "subscribe", topics: ["news"] }));
    expect(await reader.text()).toBe("subscribed");
    reader.socket.pause();
  }
  for (let burst = 1; burst <= 10; burst++) {
    for (let message = 0; message < 40; message++) board.publish("news", "x".repeat(20_000));
    // A subscriber that is closed gets no more messages.
    await vi.waitFor(() => {
      const { messagesSent = 0, slowConsumersClosed = 0 } = board.stats().shards[0] ?? {};
      expect(slowConsumersClosed > 0 || messagesSent >= burst * 40 * readers.length).toBe(true);
    }, 20_000);
  }
  expect(board.stats().shards[0]).toMatchObject({ connections: readers.length, slowConsumersClosed: 0 });
});
