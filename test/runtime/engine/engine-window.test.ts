import { serialize } from "node:v8";
import { MessageChannel } from "node:worker_threads";
import { expect, it } from "vitest";
import { EngineClient, type EngineClientOwner } from "../../../src/runtime/engine/client/engine-client.ts";
import { createMemoryEngine } from "../../../src/runtime/streams/memory/memory-engine.ts";
import type { StreamRecord } from "../../../src/runtime/streams/publication.ts";
import { GatedEngine } from "./gated-engine.ts";
import { RecordingFeed, span, startHost, text, until } from "./host.ts";

const MIB = 1024 * 1024;
const CHUNK = text("x".repeat(64 * 1024));

/** Connects a client through a port that this test passes messages of, so that the client can stop reading. */
function connectSlowly(add: (port: MessageChannel["port1"]) => void, owner?: EngineClientOwner) {
  const [near, far] = [new MessageChannel(), new MessageChannel()];
  const client = new EngineClient(owner);
  const held: unknown[] = [];
  let reads = true;
  const pass = (message: { batch?: ArrayBuffer }): void => {
    near.port1.postMessage(message, message.batch === undefined ? [] : [message.batch]);
  };
  near.port1.on("message", (message) => far.port1.postMessage(message, message.batch ? [message.batch] : []));
  far.port1.on("message", (message) => (reads ? pass(message) : void held.push(message)));
  far.port1.on("close", () => near.port1.close());
  near.port1.on("close", () => far.port1.close());
  client.connect(near.port2);
  add(far.port2);
  return {
    client,
    stop: () => {
      reads = false;
    },
    /** The messages that the client hasn't read. */
    held: held as readonly unknown[],
    read: () => {
      reads = true;
      for (const message of held.splice(0)) pass(message as { batch?: ArrayBuffer });
    },
  };
}

it("deliveries to a client that doesn't read are dropped beyond the window, and told once there is room", async () => {
  const { connect, host } = await startHost({ windowBytes: 4 * MIB });
  const { client } = connect();
  const slow = connectSlowly((port) => host.addClient(port, false));
  const [feed, slowFeed, quiet] = [new RecordingFeed(), new RecordingFeed(), new RecordingFeed()];
  await client.want("s", feed, { presence: false });
  await slow.client.want("s", slowFeed, { presence: false });
  await slow.client.want("s-quiet", quiet, { presence: false });
  slow.stop();
  for (let i = 0; i < 128; i++) await client.publish("s", CHUNK);
  await until(() => feed.offsets.length === 128);
  expect(feed.offsets).toEqual(span(1, 128));
  const { deliveries_dropped: dropped } = host.gauges() as { deliveries_dropped: number };
  expect(dropped).toBeGreaterThan(60);
  slow.read();
  await until(() => slowFeed.tops.length === 2);
  const received = slowFeed.offsets.length;
  expect(received).toBe(128 - dropped);
  expect(slowFeed.offsets).toEqual(span(1, received));
  // Told once, so that nothing that arrives before the top is taken for the next.
  expect([slowFeed.interruptions, feed.interruptions, quiet.interruptions]).toEqual([1, 0, 0]);
  expect(slowFeed.tops[1]).toEqual({ epoch: slowFeed.tops[0]?.epoch, offset: 128 });
  const { records } = await slow.client.readSince("s", received);
  expect(records.map(({ offset }) => offset)).toEqual(span(received + 1, 128));
  // After what tells the host that there is room.
  await slow.client.publish("s", text("next"));
  await until(() => slowFeed.texts.includes("next"));
  // Only topics with dropped deliveries are checked.
  expect(quiet.tops.length).toBe(1);
  slow.client.close();
});

it("a batch with much work is delivered in turns, in order, before what was told after it", async () => {
  const { connect, host } = await startHost();
  const { client } = connect();
  const feed = new RecordingFeed();
  const order: (number | "top")[] = [];
  feed.published = ({ offset }: StreamRecord) => {
    const end = performance.now() + 0.2;
    while (performance.now() < end);
    order.push(offset);
  };
  feed.topTold = () => order.push("top");
  await client.want("s", feed, { presence: false });
  let turns = 0;
  const count = (): void => {
    turns++;
    if (order.length < 642) setImmediate(count);
  };
  setImmediate(count);
  const published = Promise.all(span(1, 640).map(() => client.publish("s", text("x"))));
  await published;
  host.engineOwner.doubted();
  await until(() => order.length === 642);
  expect(order).toEqual(["top", ...span(1, 640), "top"]);
  // 128 ms of work. A turn ends after 4 ms, or with the first look at the clock, which comes after 64 records.
  expect(turns).toBeGreaterThan(5);
});

it("a doubt of the engine leads to a look at the top of each wanted stream, also when the engine fails at first", async () => {
  const gate = new GatedEngine("history");
  const { connect, host } = await startHost({ checkEachMs: 600_000 }, gate.engine);
  const { client } = connect();
  const feed = new RecordingFeed();
  const wanted = client.want("s", feed, { presence: true });
  await until(() => gate.waiting.length === 1);
  gate.open();
  await wanted;
  await client.publish("s", text("a"));
  host.engineOwner.doubted();
  await until(() => feed.doubts === 1 && gate.waiting.length === 1);
  gate.fail();
  await until(() => gate.waiting.length === 1);
  gate.open();
  await until(() => feed.tops.length === 2);
  expect(feed.tops[1]?.offset).toBe(1);
});

it("each wanted stream is checked again and again", async () => {
  const { connect } = await startHost({ checkEachMs: 50 });
  const { client } = connect();
  const feeds = ["s1", "s2", "s3"].map((topic) => ({ topic, feed: new RecordingFeed() }));
  for (const { topic, feed } of feeds) await client.want(topic, feed, { presence: false });
  await until(() => feeds.every(({ feed }) => feed.tops.length >= 3));
  client.unwant("s1");
  const [first] = feeds;
  const before = first?.feed.tops.length;
  await until(() => feeds.slice(1).every(({ feed }) => feed.tops.length >= 6));
  expect(first?.feed.tops.length).toBe(before);
});

it("an epoch that changes arrives with the first publication of the new epoch, and with the publish", async () => {
  const gate = new GatedEngine();
  const { connect, host } = await startHost({}, gate.engine);
  const { client } = connect();
  const feed = new RecordingFeed();
  const top = await client.want("s", feed, { presence: false });
  await client.publish("s", text("old"));
  host.engineOwner.published("s", "new", { offset: 1, timeMs: 0, frame: text("new") });
  await until(() => feed.texts.length === 2);
  expect(feed.publications).toEqual([
    { epoch: top?.epoch, offset: 1, text: "old" },
    { epoch: "new", offset: 1, text: "new" },
  ]);
});

it("relayed messages reach the clients that want the topic, and relays reach the engine", async () => {
  const gate = new GatedEngine("relay");
  const { connect, host } = await startHost({}, gate.engine);
  const { client } = connect();
  const feed = new RecordingFeed();
  await client.want("x", feed, { presence: false });
  host.engineOwner.relayed("x", text("from afar"));
  host.engineOwner.relayed("y", text("not wanted"));
  await until(() => feed.relays.length === 1);
  expect(feed.relays).toEqual(["from afar"]);
  expect(client.relay("x", text("to all"))).toBe(true);
  await until(() => gate.waiting.length === 1);
  expect(gate.waiting[0]?.args[0]).toBe("x");
});

it("a main thread that doesn't read is told the newest of each state later, and not what was meanwhile", async () => {
  const { host } = await startHost({ windowBytes: 4 * MIB });
  const facts = new Map<string, string | undefined>();
  const healths: unknown[] = [];
  const slow = connectSlowly((port) => host.addClient(port, true), {
    nodeChanged: (id, told) => facts.set(id, told),
    healthChanged: (health) => healths.push(health),
  });
  await until(() => healths.length === 1);
  slow.stop();
  const { nodeChanged, healthChanged } = host.engineOwner;
  const padding = "x".repeat(1_000);
  for (let round = 0; round < 1_000; round++) {
    for (let node = 0; node < 10; node++) nodeChanged(`node-${node}`, `${padding}${round}`);
    healthChanged({ status: "down", reason: `${padding}${round}` });
  }
  nodeChanged("node-3", undefined);
  healthChanged({ status: "up" });
  await until(() => slow.held.length > 0);
  expect(serialize(slow.held).length).toBeLessThan(4 * MIB);
  slow.read();
  await until(() => facts.get("node-9") === `${padding}999`);
  expect([...facts].map(([id, told]) => [id, told?.slice(padding.length)])).toEqual(
    Array.from({ length: 10 }, (_, node) => [`node-${node}`, node === 3 ? undefined : "999"]),
  );
  expect(healths.at(-1)).toEqual({ status: "up" });
});

it("a client has one announcement under way, and the newest facts arrive", async () => {
  const announced: string[] = [];
  const engine = createMemoryEngine({}, "node-1");
  engine.announce = (facts) => announced.push(facts);
  const { connect } = await startHost({}, engine);
  const { client } = connect();
  for (let number = 0; number < 1_000; number++) client.announce(String(number));
  await until(() => announced.at(-1) === "999");
  expect(announced).toEqual(["0", "999"]);
});
