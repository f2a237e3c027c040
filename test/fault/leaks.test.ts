import { readdirSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, it, vi } from "vitest";
import { startBoard } from "../support/board.ts";
import { close, text } from "../support/frames.ts";
import { RawClient } from "../support/raw-client.ts";

const WAVES = 20;
const CONNECTIONS_IN_A_WAVE = 250;
/**
 * Noise in the resident memory of the whole process, from its allocators and from the young generation of this thread.
 */
const RESIDENT_NOISE_BYTES = 60_000_000;
/** Noise in the live memory of one shard, which is known better: 1 kB for each connection that the shard had. */
const LIVE_NOISE_BYTES = 2_500_000;

// Keeps the young generations of threads started from here on small. Their growth is no leak and would hide one.
setFlagsFromString("--max-semi-space-size=2");
setFlagsFromString("--expose-gc");

const ways: ((client: RawClient) => Promise<void>)[] = [
  (client) => client.close(),
  async (client) => client.reset(),
  async (client) => {
    client.socket.end();
  },
  async (client) => {
    client.write(Buffer.concat([text("unread"), close(1001)]));
  },
];

const descriptors = (): number => readdirSync("/proc/self/fd").length;

function residentBytes(): number {
  const collect: unknown = runInNewContext("gc");
  if (typeof collect !== "function") throw new Error("this Node has no gc");
  collect();
  collect();
  return process.memoryUsage.rss();
}

/** Live bytes of each of the two shards. */
async function liveBytes(port: number): Promise<number[]> {
  const bytes: number[] = [];
  for (let i = 0; i < 2; i++) {
    const client = await RawClient.open({ port, head: text("measure") });
    const measured: { shard: number; bytes: number } = JSON.parse(await client.text());
    bytes[measured.shard] = measured.bytes;
    await client.close();
  }
  return bytes;
}

async function connectAndLeave(port: number, index: number): Promise<void> {
  const client = await RawClient.open({ port, head: text(`hello ${index}`) });
  expect(await client.text()).toBe(`hello ${index}`);
  await ways[index % ways.length]?.(client);
  // The last two ways end when the server ends the connection.
  client.socket.resume();
  client.socket.end();
  await client.closed();
}

it("has the same descriptors and memory as before after 5,000 connections that ended in every way", async () => {
  const { board, port } = await startBoard({ actor: "measured", shards: 2 });
  const runWave = async (): Promise<void> => {
    await Promise.all(Array.from({ length: CONNECTIONS_IN_A_WAVE }, (_, i) => connectAndLeave(port, i)));
    await vi.waitFor(() => expect(board.stats().connections).toBe(0), 10_000);
  };
  // After these waves, memory that is allocated once and the young generation of this thread have their final size.
  for (let wave = 0; wave < WAVES; wave++) await runWave();
  const liveBefore = await liveBytes(port);
  await vi.waitFor(() => expect(board.stats().connections).toBe(0));
  const descriptorsBefore = descriptors();
  const bytesBefore = residentBytes();

  for (let wave = 0; wave < WAVES; wave++) await runWave();
  await vi.waitFor(() => expect(descriptors()).toBeLessThanOrEqual(descriptorsBefore), 10_000);
  expect(residentBytes() - bytesBefore).toBeLessThan(RESIDENT_NOISE_BYTES);
  const liveAfter = await liveBytes(port);
  expect(liveAfter).toHaveLength(2);
  for (const [shard, bytes] of liveAfter.entries())
    expect(bytes - (liveBefore[shard] ?? 0)).toBeLessThan(LIVE_NOISE_BYTES);
  await vi.waitFor(() => expect(board.stats().connections).toBe(0));

  const { upgrades, connections, shards } = board.stats();
  expect(connections).toBe(0);
  expect(shards.map((shard) => shard.connections)).toEqual([0, 0]);
  expect(upgrades).toMatchObject({
    accepted: 2 * WAVES * CONNECTIONS_IN_A_WAVE + 4,
    abandoned: 0,
    timedOut: 0,
    failed: 0,
  });
}, 120_000);
