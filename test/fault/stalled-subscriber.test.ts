import { readFileSync } from "node:fs";
import { expect, it, vi } from "vitest";
import type { ShardStats, SlowConsumerPolicy } from "../../src/index.ts";
import { text } from "../support/frames.ts";
import { ProcessMemory } from "../support/process-memory.ts";
import { RawClient } from "../support/raw-client.ts";
import { Readers } from "../support/readers.ts";
import { ServerProcess } from "../support/server-process.ts";

const SUBSCRIBERS = 10_000;
/** Descriptors of the process for anything but subscribers. */
const OTHER_DESCRIPTORS = 200;
/** Number of rounds. Each publish is 15 MB in all, so any publish that the process kept would show. */
const ROUNDS = 2;
const PUBLISHES_IN_A_ROUND = 8;
const BYTES = 1_500;
const MIB = 1024 * 1024;
const MAX_BUFFERED_BYTES = MIB;
/**
 * The command that fills a peer's buffers: 150 MiB in four trials, more than any buffer of the system takes. Each piece
 * is smaller than the bytes that a trial publishes (24 kB), because the buffer may stay up to one piece below its
 * bound.
 */
const FILL = { do: "send", count: 2_400, bytes: 16 * 1024 };
/** Largest growth of the server while it publishes to 10,000 subscribers of which one doesn't read. */
const MAX_GROWTH_BYTES = 32 * MIB;
/** Largest growth in all, with the garbage of filling four peers' buffers: less than the bytes sent to those peers. */
const MAX_GROWTH_IN_ALL_BYTES = 128 * MIB;

/** The counter that shows that a policy was applied. */
const counters = {
  dropNewest: "droppedNewest",
  dropOldest: "droppedOldest",
  conflate: "conflated",
  close: "slowConsumersClosed",
} as const satisfies Record<SlowConsumerPolicy, keyof ShardStats>;

/** Number of subscribers that the limit of open files allows; warns if there are fewer than wanted. */
function affordable(): number {
  const limits = readFileSync("/proc/self/limits", "utf8");
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  const most = soft === undefined ? Number.POSITIVE_INFINITY : Number(soft) - OTHER_DESCRIPTORS;
  if (most >= SUBSCRIBERS) return SUBSCRIBERS;
  console.warn(`a process may have only ${soft} files open here: ${most} subscribers instead of ${SUBSCRIBERS}`);
  return most;
}

/** Opens a client that sends one command and awaits the answer. */
async function open(port: number) {
  const client = await RawClient.open({ port });
  const ask = async (command: object): Promise<string> => {
    client.write(text(JSON.stringify(command)));
    return client.text();
  };
  return { client, ask };
}

/** Opens a subscriber that has stopped reading and whose send buffer is full. */
async function stall(port: number, policy: SlowConsumerPolicy, watcher: RawClient): Promise<RawClient> {
  const { client, ask } = await open(port);
  expect(await ask({ do: "policy", policy: "dropOldest" })).toBe("dropOldest");
  expect(await ask({ do: "subscribe", topics: ["news"] })).toBe("subscribed");
  client.socket.pause();
  client.write(text(JSON.stringify(FILL)));
  await watcher.text();
  // Once more: a busy kernel may find room late, by a packet that it sends again.
  client.write(text(JSON.stringify(FILL)));
  client.write(text(JSON.stringify({ do: "policy", policy })));
  await watcher.text();
  return client;
}

it("a subscriber among 10,000 that never reads neither delays the others nor grows the process, under any policy", async () => {
  const count = affordable();
  // No pings: the readers don't answer them.
  const start = { shards: 2, maxBufferedBytes: MAX_BUFFERED_BYTES, pingIntervalMs: 0 };
  const server = await ServerProcess.start({ actor: "flooding", start });
  const { port } = server;
  const memory = new ProcessMemory(server.program.pid);
  const total = async (counter: keyof ShardStats): Promise<number> => {
    const { shards } = await server.stats();
    return shards.reduce((sum, shard) => sum + Number(shard[counter]), 0);
  };
  const readers = new Readers({ port, count, topic: "news", bytes: BYTES });
  await readers.subscribed();
  const watcher = await open(port);
  expect(await watcher.ask({ do: "subscribe", topics: ["log"] })).toBe("subscribed");
  const publisher = await open(port);
  let published = 0;
  // A closed loop: it stops when any reader misses a publish, and sends the next only after every reader has the last.
  const publishRounds = async (): Promise<void> => {
    for (let round = 0; round < ROUNDS; round++) {
      const publish = { do: "publish", topics: ["news"], from: published, count: PUBLISHES_IN_A_ROUND, bytes: BYTES };
      expect(JSON.parse(await publisher.ask(publish))).toMatchObject({ remoteDropped: 0 });
      published += PUBLISHES_IN_A_ROUND;
      await readers.have(published - 1);
    }
  };
  // All subscribers read, and memory for writing to 10,000 sockets has been allocated.
  await publishRounds();
  const atFirst = memory.bytes;

  for (const policy of ["dropNewest", "dropOldest", "conflate", "close"] as const) {
    const countedBefore = await total(counters[policy]);
    const stalled = await stall(port, policy, watcher.client);
    const before = memory.bytes;
    memory.forgetPeak();
    await publishRounds();
    expect(memory.peakBytes - before).toBeLessThan(MAX_GROWTH_BYTES);
    expect(stalled.socket.bytesRead).toBeLessThan(MIB);
    expect(await total(counters[policy])).toBeGreaterThan(countedBefore);
    stalled.reset();
    // The readers, the watcher and the publisher are left.
    await vi.waitFor(async () => expect(await total("connections")).toBe(count + 2));
  }
  expect(memory.bytes - atFirst).toBeLessThan(MAX_GROWTH_IN_ALL_BYTES);
}, 600_000);
