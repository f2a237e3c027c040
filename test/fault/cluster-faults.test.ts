/** Faults of Redis and of the links to it, as clients of three boards see them. `npm run faults` has the long form. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { RedisServer } from "../support/redis-server.ts";
import { Cluster, STANDSTILL_MS, Trial } from "./cluster/trial.ts";
import { isLong } from "./rows.ts";

const cluster = new Cluster();
let server: RedisServer;

beforeAll(async () => {
  server = await RedisServer.start({ keepsData: true, outlivesTest: true });
  await cluster.add(3, server.port);
});

afterAll(async () => {
  await cluster.end();
  await server.destroy();
});

it.for([
  { fault: "kill -9 of Redis, restart with its data", keepsData: true },
  { fault: "kill -9 of Redis, restart without its data", keepsData: false },
])("$fault: all are told once, and go on in another epoch", async ({ fault, keepsData }) => {
  const trial = await Trial.start(cluster);
  const before = await cluster.boards[0]?.history(trial.topics[0] ?? "");
  trial.begin();
  await server.kill();
  await trial.goesRed();
  // Publications and clients that come meanwhile are turned away, with a code.
  trial.readers[0]?.cut();
  await trial.until(() => trial.writers.every(({ rejections }) => rejections.has("ERR_ENGINE_UNAVAILABLE")));
  if (!keepsData) server.forget();
  trial.mended();
  await server.start();
  await trial.recovers();
  await trial.end(fault, { told: 1 });
  const after = await cluster.boards[0]?.history(trial.topics[0] ?? "");
  expect(after?.top.epoch).not.toBe(before?.top.epoch);
});

it("SIGSTOP of Redis: publishes reject in time, and everybody gets everything afterwards", async () => {
  const trial = await Trial.start(cluster);
  trial.begin();
  server.freeze();
  const frozenAt = performance.now();
  await trial.goesRed();
  await new Promise((resolve) => setTimeout(resolve, STANDSTILL_MS - (performance.now() - frozenAt)));
  expect(trial.writers.every(({ rejections }) => rejections.has("ERR_ENGINE_UNAVAILABLE"))).toBe(true);
  trial.mended();
  server.thaw();
  await trial.recovers();
  await trial.end(`SIGSTOP of Redis for ${STANDSTILL_MS / 1_000} s`, { told: 0 });
});

it("a link that accepts and never answers: only its board is red, and its clients get everything afterwards", async () => {
  const trial = await Trial.start(cluster);
  const [board, ...others] = cluster.boards;
  const [link] = cluster.links;
  if (board === undefined || link === undefined) throw new Error("there is no board");
  const [here, ...there] = trial.writers;
  trial.begin();
  link.stick();
  await trial.goesRed([board]);
  await trial.until(() => here?.rejections.has("ERR_ENGINE_UNAVAILABLE") === true);
  // Everybody else goes on.
  await trial.flows(
    trial.readers.filter(({ name }) => !name.startsWith("reader 0")),
    there,
  );
  for (const other of others) expect((await other.health()).ok).toBe(true);
  expect(there.flatMap(({ rejections }) => [...rejections])).toEqual([]);
  trial.mended();
  link.mend();
  await trial.recovers([board]);
  await trial.end("one board's link accepts and never answers", { told: 0 });
});

it("a link that brings nothing while it answers: its board is red, and its clients get everything", async () => {
  const trial = await Trial.start(cluster);
  const [board] = cluster.boards;
  if (board === undefined) throw new Error("there is no board");
  trial.begin();
  cluster.links[0]?.deafen();
  // The board mends it.
  trial.mended();
  await trial.goesRed([board]);
  await trial.recovers([board]);
  await trial.end("one board's link is deaf: answers come, publications don't", { told: 0 });
});

it.for([1, 20_011, 60_007].slice(0, isLong ? 3 : 2))(
  "a cut %i bytes into a pipeline: nothing twice, no hole, and nothing acknowledged is missing",
  async (bytes) => {
    const trial = await Trial.start(cluster);
    const [board] = cluster.boards;
    if (board === undefined) throw new Error("there is no board");
    trial.begin();
    cluster.links[0]?.cutAfter(bytes);
    for (let burst = 0; burst < 60; burst++) trial.writers[0]?.publish();
    await trial.goesRed([board]);
    trial.mended();
    await trial.recovers([board]);
    await trial.end(`one board's link is cut ${bytes.toLocaleString("en")} bytes into a pipeline`, { told: 0 });
  },
);

it("Redis is out of memory: publishes reject as full, and nobody loses anything", async () => {
  const trial = await Trial.start(cluster);
  trial.begin();
  await server.command("CONFIG", "SET", "maxmemory", "1");
  await trial.until(() => trial.writers.every(({ rejections }) => rejections.has("ERR_ENGINE_FULL")));
  // Who comes back now can still read what there is.
  const [reader] = trial.readers;
  reader?.cut();
  await trial.until(() => reader?.closes.length === 1);
  await trial.until(() => reader?.isLive === true);
  for (const board of cluster.boards) {
    const stats = await board.stats();
    expect((await board.health()).ok).toBe(true);
    expect(stats.shards.reduce((sum, { publishesFailed }) => sum + publishesFailed, 0)).toBeGreaterThan(0);
  }
  trial.mended();
  await server.command("CONFIG", "SET", "maxmemory", "0");
  await trial.recovers();
  for (const { rejections } of trial.writers) expect([...rejections.keys()]).toEqual(["ERR_ENGINE_FULL"]);
  await trial.end("Redis is out of memory", { told: 0 });
});

it("the engine's thread of one board dies: its publishes reject, and its clients get everything", async () => {
  const trial = await Trial.start(cluster);
  const [board, ...others] = cluster.boards;
  if (board === undefined) throw new Error("there is no board");
  const events = others.map((other) => other.events.length);
  trial.begin();
  const since = performance.now();
  await board.killEngine();
  await board.tells("engineLost", since);
  trial.mended();
  await trial.goesRed([board]);
  await trial.recovers([board]);
  expect(others.map((other) => other.events.length)).toEqual(events);
  await trial.end("one board's engine thread dies", { told: 0 });
});
