/** Publishes of one turn over a real server: how few scripts they are, their order, and what one failure does. */
import { expect, it, onTestFinished } from "vitest";
import { createRedisEngine, redis } from "../../../src/engines/redis/index.ts";
import type {
  Engine,
  EngineOwner,
  EnginePublished,
  HistoryLimits,
  HistoryRange,
} from "../../../src/runtime/streams/engine.ts";
import { noop } from "../../../src/wire/protocol/empty.ts";
import { encodeText } from "../../../src/wire/protocol/frame.ts";
import { RedisServer } from "../../support/redis-server.ts";

const LIMITS = { size: 1_000, ttlMs: 60_000, metaTtlMs: 60_000 };

const OWNER: EngineOwner = {
  published: noop,
  relayed: noop,
  presenceChanged: noop,
  interrupted: noop,
  doubted: noop,
  healthChanged: noop,
  controlReceived: noop,
  nodeChanged: noop,
};

async function startEngine(server: RedisServer): Promise<Engine> {
  const engine = await createRedisEngine(redis({ url: server.url }).options, "node-1");
  await engine.start(OWNER);
  onTestFinished(() => engine.stop());
  return engine;
}

async function scriptsOf(server: RedisServer): Promise<number> {
  const stats = String(await server.command("INFO", "commandstats"));
  return Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1]);
}

const publish = (engine: Engine, topic: string, text: string, idempotencyKey?: string): Promise<EnginePublished> =>
  Promise.resolve(engine.publish(topic, { frame: encodeText(text), idempotencyKey }, LIMITS));

const textsOf = async (engine: Engine, topic: string): Promise<string[]> => {
  const { records } = await engine.history(topic, { limit: 1_000 }, LIMITS);
  return records.map(({ frame }) => frame.block.toString("latin1", frame.start + 2, frame.end));
};

it("sends the publishes of a turn to all topics as a few scripts, and gives each its offset", async () => {
  const server = await RedisServer.start();
  const engine = await startEngine(server);
  const before = await scriptsOf(server);
  const published = await Promise.all(
    Array.from({ length: 450 }, (_, i) => publish(engine, `topic-${i % 3}`, String(i))),
  );
  expect((await scriptsOf(server)) - before).toBe(3);
  expect(published.map(({ position }) => position.offset)).toEqual(
    Array.from({ length: 450 }, (_, i) => Math.floor(i / 3) + 1),
  );
  for (const first of [0, 1, 2]) {
    const expected = Array.from({ length: 150 }, (_, i) => String(3 * i + first));
    expect(await textsOf(engine, `topic-${first}`)).toEqual(expected);
  }
});

it("keeps the order of publishes with and without an idempotency key, and of a read behind them", async () => {
  const engine = await startEngine(await RedisServer.start());
  const published = [
    publish(engine, "topic", "a"),
    publish(engine, "topic", "b", "key"),
    publish(engine, "topic", "c"),
    publish(engine, "topic", "d"),
  ];
  const texts = textsOf(engine, "topic");
  const offsets = (await Promise.all(published)).map(({ position }) => position.offset);
  expect(offsets).toEqual([1, 2, 3, 4]);
  expect(await texts).toEqual(["a", "b", "c", "d"]);
});

it("rejects the publishes to a topic that can't be stored, and stores the others of the turn", async () => {
  const server = await RedisServer.start();
  const engine = await startEngine(server);
  await publish(engine, "broken", "first");
  await server.command("SET", "switchboard:{topic:broken}:list", "not a list");
  const results = await Promise.allSettled([
    publish(engine, "before", "a"),
    publish(engine, "broken", "b"),
    publish(engine, "after", "c"),
    publish(engine, "broken", "d"),
  ]);
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "rejected"]);
  expect(results[1]).toMatchObject({ reason: { code: "ERR_ENGINE_UNAVAILABLE", message: /WRONGTYPE.*wasn't stored/ } });
  expect(await textsOf(engine, "before")).toEqual(["a"]);
  expect(await textsOf(engine, "after")).toEqual(["c"]);
  expect(engine.gauges()).toMatchObject({ published_total: 3, rejected_total: 2 });
});

const keyOf = (topic: string, kind: "meta" | "list"): string => `switchboard:{topic:${topic}}:${kind}`;

async function callsOf(server: RedisServer, command: string): Promise<number> {
  const stats = String(await server.command("INFO", "commandstats"));
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
}

it("trims a list now and then, and hands out no more than the history has", async () => {
  const server = await RedisServer.start();
  const engine = await startEngine(server);
  const limits = { ...LIMITS, size: 20 };
  const before = await callsOf(server, "ltrim");
  for (let number = 1; number <= 102; number++) {
    await engine.publish("t", { frame: encodeText(String(number)) }, limits);
    expect(Number(await server.command("LLEN", keyOf("t", "list")))).toBeLessThanOrEqual(25);
  }
  expect((await callsOf(server, "ltrim")) - before).toBe(13);
  expect(await server.command("LLEN", keyOf("t", "list"))).toBe(24);
  const offsets = async (range: HistoryRange): Promise<number[]> =>
    (await engine.history("t", range, limits)).records.map(({ offset }) => offset);
  const kept = Array.from({ length: 20 }, (_, i) => 83 + i);
  expect(await offsets({ limit: 100 })).toEqual(kept);
  expect(await offsets({ limit: 100, since: 80 })).toEqual(kept);
  expect(await offsets({ limit: 100, since: 82 })).toEqual(kept);
  expect(await offsets({ limit: 100, since: 83 })).toEqual(kept.slice(1));
  expect(await offsets({ limit: 100, reverse: true })).toEqual(kept.toReversed());
  expect(await offsets({ limit: 100, reverse: true, since: 82 })).toEqual([]);
});

it("renews the time of the keys in its second half, when it is another, and when a key is new", async () => {
  const server = await RedisServer.start();
  const engine = await startEngine(server);
  const publishAs = (limits: HistoryLimits) => engine.publish("t", { frame: encodeText("a") }, limits);
  const timeOf = async (kind: "meta" | "list"): Promise<number> =>
    Number(await server.command("PTTL", keyOf("t", kind)));
  const before = await callsOf(server, "pexpire");
  for (let number = 0; number < 50; number++) await publishAs(LIMITS);
  expect((await callsOf(server, "pexpire")) - before).toBe(1);
  expect(await timeOf("list")).toBeGreaterThan(LIMITS.ttlMs);
  expect(await timeOf("meta")).toBeGreaterThan(LIMITS.metaTtlMs);

  await publishAs({ size: 10, ttlMs: 100_000, metaTtlMs: 200_000 });
  expect(await timeOf("list")).toBeGreaterThan(100_000);
  expect(await timeOf("meta")).toBeGreaterThan(200_000);
  await publishAs({ size: 10, ttlMs: 10_000, metaTtlMs: 20_000 });
  expect(await timeOf("list")).toBeLessThanOrEqual(15_000);
  expect(await timeOf("meta")).toBeLessThanOrEqual(30_000);

  await engine.removeHistory("t", LIMITS);
  await publishAs({ size: 10, ttlMs: 10_000, metaTtlMs: 20_000 });
  expect(await timeOf("list")).toBeGreaterThan(10_000);
});

it("keeps the order of publishes of a turn to one topic with different limits", async () => {
  const engine = await startEngine(await RedisServer.start());
  const other = { ...LIMITS, size: 500 };
  const published = ["a", "b", "c", "d"].map((text, i) =>
    engine.publish("topic", { frame: encodeText(text) }, i % 2 === 0 ? LIMITS : other),
  );
  expect((await Promise.all(published)).map(({ position }) => position.offset)).toEqual([1, 2, 3, 4]);
  expect(await textsOf(engine, "topic")).toEqual(["a", "b", "c", "d"]);
});

it("stores nothing of a turn while Redis is out of memory, also to streams that are new", async () => {
  const server = await RedisServer.start();
  const engine = await startEngine(server);
  await publish(engine, "known", "before");
  await server.command("CONFIG", "SET", "maxmemory", "1");
  const results = await Promise.allSettled([publish(engine, "new", "a"), publish(engine, "known", "b")]);
  expect(results).toMatchObject(Array(2).fill({ status: "rejected", reason: { code: "ERR_ENGINE_FULL" } }));
  expect(await textsOf(engine, "known")).toEqual(["before"]);
  await server.command("CONFIG", "SET", "maxmemory", "0");
  expect(await publish(engine, "new", "c")).toMatchObject({ position: { offset: 1 } });
});
