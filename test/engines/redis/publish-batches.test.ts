/** Publishes of one turn over a real server: how few scripts they are, their order, and what one failure does. */
import { expect, it, onTestFinished } from "vitest";
import { createRedisEngine, redis } from "../../../src/engines/redis/index.ts";
import type { Engine, EngineOwner, EnginePublished } from "../../../src/runtime/streams/engine.ts";
import { noop } from "../../../src/wire/protocol/empty.ts";
import { encodeText } from "../../../src/wire/protocol/frame.ts";
import { RedisServer } from "../../support/redis-server.ts";

const LIMITS = { size: 1_000, ttlMs: 60_000, metaTtlMs: 60_000 };

const OWNER: EngineOwner = {
  published: noop,
  relayed: noop,
  presenceChanged: noop,
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
