import { expect, it, onTestFinished } from "vitest";
import type { PublishOptions } from "../../../src/runtime/actor/context/actor-context.ts";
import type { Subscriber } from "../../../src/runtime/bus/audience.ts";
import { Bus, NOBODY } from "../../../src/runtime/bus/bus.ts";
import { EngineClient } from "../../../src/runtime/engine/client/engine-client.ts";
import { Topics } from "../../../src/runtime/feeds/topics.ts";
import type { ReadHistoryOptions } from "../../../src/runtime/streams/topic-memory.ts";
import { TopicRules } from "../../../src/runtime/streams/topic-rules.ts";
import { RULES, span, startHost, text } from "../engine/host.ts";

async function setUp(isConnected = true) {
  const host = await startHost();
  const failures: true[] = [];
  const client = new EngineClient({ publishFailed: () => void failures.push(true) });
  onTestFinished(() => client.close());
  if (isConnected) host.reconnect(client);
  const bus = new Bus({ publishDropped: () => {} });
  const engine = {
    client,
    rules: new TopicRules(RULES),
    isShared: false,
  };
  return { topics: new Topics(bus, engine), plain: new Topics(bus, undefined), client, failures, bus };
}

it("a publish to a stream gives its position, and one with a known key that of the first", async () => {
  const { topics } = await setUp();
  const first = topics.publish("s", text("a"), { idempotencyKey: "key" });
  expect(first).toMatchObject(NOBODY);
  const again = topics.publish("s", text("b"), { idempotencyKey: "key", expiresMs: 1_000 });
  const other = await topics.publish("s", text("c")).stored;
  const stored = await first.stored;
  expect(stored).toMatchObject({ position: { offset: 1 }, duplicate: false });
  expect(await again.stored).toEqual({ position: stored?.position, duplicate: true });
  expect(other?.position.offset).toBe(2);
});

it("a publish to a plain topic is what it was", async () => {
  const { topics, plain, bus } = await setUp();
  const got: string[] = [];
  const subscriber: Subscriber = {
    deliver: (_, topic) => {
      got.push(topic);
      return "sent";
    },
  };
  await bus.subscribe("x", subscriber);
  for (const each of [topics, plain]) {
    expect(each.publish("x", text("a"))).toEqual({ ...NOBODY, delivered: 1 });
    expect(each.publish("x", text("a"), {}, subscriber)).toEqual(NOBODY);
    expect(each.publish("x", text("a"), { self: true }, subscriber)).toEqual({ ...NOBODY, delivered: 1 });
  }
  expect(got).toHaveLength(4);
});

it.each<[string, string, object]>([
  ["x", "ERR_NO_HISTORY", { idempotencyKey: "key" }],
  ["w", "ERR_NO_HISTORY", { expiresMs: 1 }],
  ["s", "ERR_ARGUMENT", { idempotencyKey: "" }],
  ["s", "ERR_ARGUMENT", { idempotencyKey: "\udc00" }],
  ["s", "ERR_ARGUMENT", { idempotencyKey: "x".repeat(129) }],
  ["s", "ERR_ARGUMENT", { idempotencyKey: 1 }],
  ["s", "ERR_ARGUMENT", { expiresMs: 0 }],
  ["s", "ERR_ARGUMENT", { expiresMs: 1.5 }],
  ["s", "ERR_ARGUMENT", { self: "yes" }],
  ["x", "ERR_ARGUMENT", { self: 1 }],
  ["", "ERR_TOPIC", {}],
  ["x".repeat(256), "ERR_TOPIC", {}],
  ["s", "ERR_ARGUMENT", { store: false, idempotencyKey: "key" }],
  ["s", "ERR_ARGUMENT", { store: false, expiresMs: 1 }],
  ["s", "ERR_ARGUMENT", { store: 0 as never }],
])("a publish to %s throws %s for %o", async (topic, code, options) => {
  const { topics } = await setUp();
  expect(() => topics.publish(topic, text("a"), options)).toThrowError(expect.objectContaining({ code }));
});

const TYPO = 'unknown option "idempotencykey"; the options are self, idempotencyKey, expiresMs, store';
it.each<[unknown, string]>([
  [{ idempotencykey: "key" }, TYPO],
  [{ self: true, idempotencykey: undefined }, TYPO],
  [null, "the options must be an object, got null"],
  [true, "the options must be an object, got true"],
  [["self"], "the options must be an object, got Array"],
])("a publish with the options %o throws ERR_ARGUMENT, and nothing is published", async (options, message) => {
  const { topics, plain, bus } = await setUp();
  let delivered = 0;
  await bus.subscribe("x", {
    deliver: () => {
      delivered++;
      return "sent";
    },
  });
  const error = { code: "ERR_ARGUMENT", message: `publish: ${message}` };
  const throws = (each: Topics, topic: string) =>
    expect(() => each.publish(topic, text("a"), options as PublishOptions)).toThrowError(
      expect.objectContaining(error),
    );
  for (const topic of ["s", "x"]) throws(topics, topic);
  throws(plain, "x");
  expect(delivered).toBe(0);
  expect((await topics.history("s")).publications).toEqual([]);
});

it.each<[unknown, string]>([
  [{ sinse: { epoch: "", offset: 1 } }, 'unknown option "sinse"; the options are since, limit, reverse'],
  [{ limit: 1, limt: 1 }, 'unknown option "limt"; the options are since, limit, reverse'],
  [7, "the options must be an object, got 7"],
  [null, "the options must be an object, got null"],
  [{ reverse: "yes" }, 'reverse takes true or false, got "yes"'],
])("history with the options %o rejects with ERR_ARGUMENT", async (options, message) => {
  const { topics, plain } = await setUp();
  const error = { code: "ERR_ARGUMENT", message: `history: ${message}` };
  const rejects = (each: Topics, topic: string) =>
    expect(each.history(topic, options as ReadHistoryOptions)).rejects.toMatchObject(error);
  await rejects(topics, "s");
  await rejects(topics, "x");
  await rejects(plain, "x");
});

it.each([undefined, 7, "x".repeat(256)])("refuses the topic %s before the rules see it", async (topic) => {
  const { topics } = await setUp();
  const asked = topic as string;
  const wrong = expect.objectContaining({ code: "ERR_TOPIC" });
  expect(() => topics.ruleOf(asked)).toThrowError(wrong);
  expect(() => topics.publish(asked, text("a"))).toThrowError(wrong);
  await expect(topics.history(asked)).rejects.toEqual(wrong);
  await expect(topics.removeHistory(asked)).rejects.toEqual(wrong);
  await expect(topics.presence(asked)).rejects.toEqual(wrong);
  await expect(topics.presenceStats(asked)).rejects.toEqual(wrong);
});

it("a publish that isn't stored rejects, and is counted even if nobody awaits it", async () => {
  const { topics, failures } = await setUp(false);
  topics.publish("s", text("a"));
  await expect(topics.publish("s", text("b")).stored).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
  expect(failures).toHaveLength(2);
});

it("history is read in pages, in both directions", async () => {
  const { topics } = await setUp();
  const stored = await Promise.all(span(1, 150).map((each) => topics.publish("s", text(String(each))).stored));
  const { epoch = "" } = stored[0]?.position ?? {};
  const offsets = async (options?: Parameters<Topics["history"]>[1]) => {
    const { publications, top } = await topics.history("s", options);
    expect(top).toEqual({ epoch, offset: 150 });
    expect(publications.every(({ message, offset }) => message.text === String(offset))).toBe(true);
    return publications.map(({ offset }) => offset);
  };
  expect(await offsets()).toEqual(span(1, 100));
  expect(await offsets({ since: { epoch, offset: 100 } })).toEqual(span(101, 150));
  expect(await offsets({ reverse: true, limit: 3 })).toEqual([150, 149, 148]);
  expect(await offsets({ reverse: true, limit: 3, since: { epoch: "", offset: 148 } })).toEqual([147, 146, 145]);
  expect(await offsets({ limit: 0 })).toEqual([]);
  expect(await offsets({ limit: Number.MAX_SAFE_INTEGER })).toEqual(span(1, 150));
  await topics.removeHistory("s");
  expect(await offsets()).toEqual([]);
});

it("a page has at most 1,000 publications", async () => {
  const { topics } = await setUp();
  await Promise.all(span(1, 1_100).map(() => topics.publish("s", text("x")).stored));
  expect((await topics.history("s", { limit: 5_000 })).publications).toHaveLength(1_000);
});

it("questions that make no sense are rejected by a code", async () => {
  const { topics, plain } = await setUp();
  const rejects = (answer: Promise<unknown>, code: string) => expect(answer).rejects.toMatchObject({ code });
  await topics.publish("s", text("a")).stored;
  await rejects(topics.history("s", { since: { epoch: "other", offset: 0 } }), "ERR_STREAM_EPOCH");
  await rejects(topics.history("s", { since: { epoch: "", offset: -1 } }), "ERR_POSITION");
  for (const limit of [-1, 1.5, Number.NaN, null as never]) {
    await rejects(topics.history("s", { limit }), "ERR_ARGUMENT");
  }
  await rejects(topics.history("s", { since: "latest" as never }), "ERR_POSITION");
  for (const each of [topics, plain]) {
    await rejects(each.history("x"), "ERR_NO_HISTORY");
    await rejects(each.removeHistory("x"), "ERR_NO_HISTORY");
    await rejects(each.presence("s"), "ERR_NO_PRESENCE");
    await rejects(each.presenceStats("s"), "ERR_NO_PRESENCE");
  }
  const { topics: away } = await setUp(false);
  await rejects(away.history("s"), "ERR_ENGINE_UNAVAILABLE");
  await rejects(away.presence("p"), "ERR_ENGINE_UNAVAILABLE");
});

it("presence tells who is there, with what the actor told", async () => {
  const { topics, client } = await setUp();
  await client.join("w", { address: "0-1", user: "ann", info: '{"a":1}' });
  await client.join("w", { address: "0-2", user: "ann", info: undefined });
  expect(await topics.presence("w")).toEqual([
    { address: "0-1", node: "node-1", user: "ann", info: { a: 1 } },
    { address: "0-2", node: "node-1", user: "ann", info: undefined },
  ]);
  expect(await topics.presenceStats("w")).toEqual({ connections: 2, users: 1 });
});
