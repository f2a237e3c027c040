import { MessageChannel } from "node:worker_threads";
import { expect, it, vi } from "vitest";
import { EngineClient } from "../../../src/runtime/engine/client/engine-client.ts";
import { GatedEngine } from "./gated-engine.ts";
import { RecordingFeed, span, startHost, text, textOf, until } from "./host.ts";
import { LateEngine } from "./late-engine.ts";

it("without an engine thread every call rejects", async () => {
  const client = new EngineClient();
  const feed = new RecordingFeed();
  const calls = [
    client.publish("s", text("a")),
    client.history("s", { limit: 1 }),
    client.readSince("s", 0),
    client.want("s", feed, { presence: false }),
    client.join("p", { address: "a", user: undefined, info: undefined }),
    client.memberStats("p"),
  ];
  for (const outcome of await Promise.allSettled<unknown>(calls)) {
    expect(outcome).toMatchObject({ status: "rejected", reason: { code: "ERR_ENGINE_UNAVAILABLE" } });
  }
  expect(client.relay("x", text("a"))).toBe(false);
});

it("what waits for an answer rejects when the engine thread ends, and its owner is told", async () => {
  const engineLost = vi.fn();
  const client = new EngineClient({ engineLost });
  const { port1, port2 } = new MessageChannel();
  client.connect(port1);
  const calls = [
    client.publish("s", text("a")),
    client.publish("s", text("a"), { idempotencyKey: "key" }),
    client.readSince("s", 0),
    client.want("s", new RecordingFeed(), { presence: false }),
    client.members("p", 1),
  ];
  const outcomes = Promise.allSettled<unknown>(calls);
  port2.close();
  for (const outcome of await outcomes) {
    expect(outcome).toMatchObject({ status: "rejected", reason: { code: "ERR_ENGINE_UNAVAILABLE" } });
  }
  expect(engineLost).toHaveBeenCalledOnce();
  expect(client.isConnected).toBe(false);
});

it("an answer that is late rejects publishes and requests, and what is late counts until the answer", async () => {
  const gate = new GatedEngine("publish", "history");
  const { connect } = await startHost({}, gate.engine);
  const { client } = connect({ timeoutMs: 50, maxUnderWay: 2 });
  const calls = [client.publish("s", text("a")), client.publish("s", text("b")), client.history("s", { limit: 1 })];
  const late = Promise.allSettled<unknown>(calls);
  // The publishes have used up what may be under way.
  await expect(client.publish("s", text("c"))).rejects.toMatchObject({ code: "ERR_ENGINE_FULL", kind: "capacity" });
  for (const outcome of await late) {
    const reason = { code: "ERR_ENGINE_UNAVAILABLE", message: "the engine has not answered within 50 ms" };
    expect(outcome).toMatchObject({ status: "rejected", reason });
  }
  await expect(client.publish("s", text("c"))).rejects.toMatchObject({ code: "ERR_ENGINE_FULL" });
  expect(gate.waiting.map(({ name }) => name)).toEqual(["publish", "publish", "history"]);
  gate.open();
  // One of the two is acknowledged now: the next publish is taken, and waits at the gate.
  await vi.waitFor(async () => {
    await expect(client.publish("s", text("d"))).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
  });
});

it("publishes beyond the bytes that may be under way reject, and later ones are taken", async () => {
  const { connect } = await startHost();
  const { client } = connect({ maxBytesUnderWay: 1_000 });
  const long = text("x".repeat(400));
  const [one, two, three] = await Promise.allSettled([1, 2, 3].map(() => client.publish("s", long)));
  expect([one?.status, two?.status]).toEqual(["fulfilled", "fulfilled"]);
  expect(three).toMatchObject({ status: "rejected", reason: { code: "ERR_ENGINE_FULL" } });
  expect((await client.publish("s", long)).position.offset).toBe(3);
});

it("after the engine thread was replaced, what was wanted is wanted again, and members join again", async () => {
  const first = await startHost();
  const { client } = first.connect();
  const [feed, forgotten] = [new RecordingFeed(), new RecordingFeed()];
  const before = await client.want("p", feed, { presence: true });
  await client.want("s", forgotten, { presence: false });
  await client.join("p", { address: "one", user: "ann", info: undefined });
  await client.join("p", { address: "two", user: undefined, info: undefined });
  await client.publish("p", text("first"));
  await until(() => feed.texts.length === 1);
  await first.host.stop();
  await until(() => !client.isConnected);
  await expect(client.publish("p", text("lost"))).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
  client.unwant("s");
  await client.leave("p", "two");

  const second = await startHost();
  second.reconnect(client);
  await until(() => feed.tops.length === 2);
  expect(feed.tops[1]?.epoch).not.toBe(before?.epoch);
  expect(feed.tops[1]?.offset).toBe(0);
  await until(() => feed.doubts === 1);
  await client.publish("p", text("second"));
  await client.publish("s", text("unheard"));
  await until(() => feed.texts.length === 2);
  expect(feed.publications[1]).toMatchObject({ epoch: feed.tops[1]?.epoch, offset: 1, text: "second" });
  expect((await client.members("p", 10)).map(({ address }) => address)).toEqual(["one"]);
  expect(forgotten.texts).toEqual([]);
  expect(second.host.gauges()).toMatchObject({ wanted_topics: 1, clients: 1 });
});

it("an interruption of the engine's reports is told in order with the deliveries, of streams only", async () => {
  const late = new LateEngine();
  const { connect } = await startHost({}, late.engine);
  const { client } = connect();
  const log: string[] = [];
  const feeds = ["s", "w"].map((topic) => {
    const feed = new RecordingFeed();
    feed.published = ({ frame }) => void log.push(textOf(frame));
    feed.interrupted = () => void log.push(`interrupted ${topic}`);
    return client.want(topic, feed, { presence: false });
  });
  await Promise.all(feeds);
  await client.publish("s", text("a"));
  late.report();
  for (const topic of ["s", "w", "unwanted"]) late.owner?.interrupted(topic);
  await client.publish("s", text("b"));
  late.report();
  await until(() => log.includes("b"));
  expect(log).toEqual(["a", "interrupted s", "b"]);
});

it("a top isn't told while reports before it may be missing, and is told later", async () => {
  const late = new LateEngine();
  const { connect } = await startHost({ checkEachMs: 10 }, late.engine);
  const { client } = connect();
  let reads = 0;
  late.onRead = () => void reads++;
  late.mayMiss = true;
  const feed = new RecordingFeed();
  // A client that wants the topic is told the top all the same: it has missed nothing yet.
  await client.want("s", feed, { presence: false });
  await until(() => reads > 3);
  expect(feed.tops).toHaveLength(1);
  late.mayMiss = false;
  await until(() => feed.tops.length > 1);
});

it("the members and wants of a client that is gone are gone, and the other clients are told", async () => {
  const { connect, host } = await startHost();
  const [{ client, port }, { client: other }] = [connect(), connect()];
  const feed = new RecordingFeed();
  await other.want("p", feed, { presence: true });
  await client.want("p1", new RecordingFeed(), { presence: false });
  await client.join("p", { address: "one", user: "ann", info: '{"a":1}' });
  expect(await other.members("p", 10)).toEqual([{ address: "one", node: "node-1", user: "ann", info: '{"a":1}' }]);
  expect(await other.memberStats("p")).toEqual({ connections: 1, users: 1 });
  port.close();
  await until(() => feed.changes.length === 2);
  expect(feed.changes.map(({ kind, member }) => [kind, member.address])).toEqual([
    ["joined", "one"],
    ["left", "one"],
  ]);
  expect(await other.members("p", 10)).toEqual([]);
  expect(host.gauges()).toMatchObject({ clients: 1, wanted_topics: 1 });
});

it("what a client sent before it closed is done", async () => {
  const { connect } = await startHost();
  const [{ client }, { client: other }] = [connect(), connect()];
  for (const index of span(1, 10)) client.publish("s", text(String(index))).catch(() => {});
  client.close();
  await until(() => !client.isConnected);
  await expect.poll(async () => (await other.history("s", { limit: 0 })).top.offset).toBe(10);
});

it("a member leaves also while no other request is taken", async () => {
  const gate = new GatedEngine("history");
  const { connect } = await startHost({}, gate.engine);
  const { client } = connect({ maxUnderWay: 1 });
  await client.join("p", { address: "one", user: undefined, info: undefined });
  const held = client.history("s", { limit: 0 });
  await expect(client.members("p", 1)).rejects.toMatchObject({ code: "ERR_ENGINE_FULL" });
  await client.leave("p", "one");
  await until(() => gate.waiting.length === 1);
  gate.open();
  await held;
  expect(await client.members("p", 1)).toEqual([]);
});

it("publishes that fail in one tick reject each, for their own reason", async () => {
  const { connect, engine } = await startHost();
  const { client } = connect();
  const outcomes = Promise.allSettled(["x", "s", "x", "s", "x2"].map((topic) => client.publish(topic, text("a"))));
  await engine.stop();
  const reasons = (await outcomes).map((outcome) => (outcome.status === "rejected" ? outcome.reason : undefined));
  expect(reasons.map(({ code }) => code)).toEqual([
    "ERR_NO_HISTORY",
    "ERR_ENGINE_UNAVAILABLE",
    "ERR_NO_HISTORY",
    "ERR_ENGINE_UNAVAILABLE",
    "ERR_NO_HISTORY",
  ]);
  expect(reasons[0].message).toContain('"x"');
  expect(reasons[4].message).toContain('"x2"');
});

it("a host that stops does what its clients have asked for before", async () => {
  const { connect, host } = await startHost();
  const { client } = connect();
  const publishes = Array.from({ length: 2_000 }, () => client.publish("s", text("a".repeat(1_000))));
  // The client posts them at the end of this tick.
  await new Promise(setImmediate);
  await host.stop();
  const offsets = (await Promise.all(publishes)).map(({ position }) => position.offset);
  expect(offsets).toEqual(span(1, 2_000));
});
