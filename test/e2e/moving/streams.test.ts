import { expect, it, vi } from "vitest";
import { redis } from "../../../src/engines/redis/index.ts";
import { memory } from "../../../src/index.ts";
import { RedisServer } from "../../support/redis-server.ts";
import { runStreams } from "./stream-run.ts";

/** `npm run moves:connections` runs these tests for minutes. */
const isLong = process.env["MOVES"] === "long";
vi.setConfig({ testTimeout: isLong ? 900_000 : 120_000 });
const LENGTH = isLong
  ? { subscribers: 20, hops: 100, reloads: 2, burst: 5 }
  : { subscribers: 4, hops: 6, reloads: 1, burst: 2 };

it("subscribers of streams and presence move, and lose, double and reorder nothing; presence sees no move", async () => {
  const run = { actor: "streaming", engines: [memory()], shards: 3, ...LENGTH } as const;
  const { problems, moves, published } = await runStreams(run);
  expect(problems).toEqual([]);
  expect(moves).toBeGreaterThan(run.subscribers * run.hops);
  expect(published).toBeGreaterThan(0);
});

it("the same on two nodes with Redis, also for topics without history", async () => {
  const server = await RedisServer.start();
  // A busy machine must not look like a Redis that is gone: what isn't stored would be lost then.
  const patience = { commandTimeoutMs: 60_000, probeIntervalMs: 30_000, nodeTtlMs: 120_000, presenceTtlMs: 600_000 };
  const engine = redis({ url: server.url, ...patience });
  const run = { actor: "streaming", engines: [engine, engine], shards: 2, ...LENGTH } as const;
  const { problems, moves } = await runStreams(run);
  expect(problems).toEqual([]);
  expect(moves).toBeGreaterThan(2 * run.subscribers * run.hops);
});

it("who leaves its topics and subscribes again after the move loses publications, and is seen to leave", async () => {
  const run = { actor: "streaming-naively", engines: [memory()], shards: 3, ...LENGTH, reloads: 0 } as const;
  const { problems } = await runStreams(run);
  expect(problems.some((problem) => / p0 \d+, not \d+/.test(problem))).toBe(true);
  expect(problems.some((problem) => / (joined|left) /.test(problem))).toBe(true);
});
