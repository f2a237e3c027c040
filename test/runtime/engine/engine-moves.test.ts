/** What the host does for connections that move between the threads of two clients. */
import { expect, it } from "vitest";
import { noop } from "../../../src/wire/protocol/empty.ts";
import { GatedEngine } from "./gated-engine.ts";
import { RecordingFeed, startHost, text, textOf, until } from "./host.ts";
import { LateEngine } from "./late-engine.ts";

const TOPIC = "p";
const MEMBER = { address: "0-1", user: "u", info: undefined };

it("a member that two threads have joined leaves with the second of them", async () => {
  const { connect } = await startHost();
  const [from, to, watching] = [connect().client, connect().client, connect().client];
  const feed = new RecordingFeed();
  await watching.want(TOPIC, feed, { presence: true });
  await from.join(TOPIC, MEMBER);
  await to.join(TOPIC, MEMBER);
  await from.leave(TOPIC, MEMBER.address);
  expect(await watching.members(TOPIC, 10)).toHaveLength(1);
  await to.leave(TOPIC, MEMBER.address);
  expect(await watching.members(TOPIC, 10)).toEqual([]);
  await until(() => feed.changes.length === 2);
  expect(feed.changes.map(({ kind }) => kind)).toEqual(["joined", "left"]);
});

it("a member that two threads have joined outlives the first, and ends with the second", async () => {
  const { connect } = await startHost();
  const [from, to, watching] = [connect().client, connect().client, connect().client];
  await from.join(TOPIC, MEMBER);
  await to.join(TOPIC, MEMBER);
  from.close();
  await watching.members(TOPIC, 10);
  expect(await watching.members(TOPIC, 10)).toHaveLength(1);
  to.close();
  await expect.poll(() => watching.members(TOPIC, 10)).toEqual([]);
});

it("a cut is told to both threads of a move, between the same two publications, and to nobody else", async () => {
  const { connect } = await startHost();
  const logs: string[][] = [[], [], []];
  const clients = [1, 2, 3].map((life, index) => {
    const log = logs[index] as string[];
    const { client } = connect({ life }, { marked: (from, move) => void log.push(`marked ${from} ${move}`) });
    const feed = new RecordingFeed();
    feed.published = ({ frame }) => void log.push(String.fromCharCode(frame.block[frame.end - 1] as number));
    return { client, wanted: client.want("s", feed, { presence: false }) };
  });
  await Promise.all(clients.map(({ wanted }) => wanted));
  const [from, to] = [clients[0]?.client, clients[1]?.client];
  await to?.publish("s", text("a"));
  to?.cut(1, 7);
  await to?.publish("s", text("b"));
  await from?.publish("s", text("c"));
  await until(() => logs.every((log) => log.at(-1) === "c"));
  expect(logs).toEqual([
    ["a", "marked 1 7", "b", "c"],
    ["a", "marked 1 7", "b", "c"],
    ["a", "b", "c"],
  ]);
});

it("a thread that wants a stream which another follows begins where that one is, without a read", async () => {
  const gated = new GatedEngine("history");
  const { connect } = await startHost({}, gated.engine);
  const [one, other] = [connect().client, connect().client];
  const wanted = one.want("s", new RecordingFeed(), { presence: false });
  await until(() => gated.waiting.length === 1);
  gated.open();
  await wanted;
  await one.publish("s", text("a"));
  expect(await other.want("s", new RecordingFeed(), { presence: false })).toMatchObject({ offset: 1 });
  expect(gated.waiting).toEqual([]);
});

/** A client over an engine with late reports, whose feed writes down the offsets and tops that it is given. */
async function setUpLate() {
  const late = new LateEngine();
  const { connect } = await startHost({}, late.engine);
  const log: string[] = [];
  const feed = new RecordingFeed();
  feed.published = ({ offset }) => void log.push(`publication ${offset}`);
  feed.relayed = (frame) => void log.push(textOf(frame));
  feed.topTold = ({ offset }) => void log.push(`top ${offset}`);
  const publisher = connect().client;
  const publish = async (...texts: string[]) => {
    for (const each of texts) await publisher.publish("s", text(each));
  };
  return { late, connect, client: connect().client, feed, log, publish };
}

it("a thread that wants a stream begins where another one is, also when a read is ahead of the reports", async () => {
  const { late, connect, client, feed, log, publish } = await setUpLate();
  await client.want("s", new RecordingFeed(), { presence: false });
  await publish("a", "b");
  expect(await connect().client.want("s", feed, { presence: false })).toMatchObject({ offset: 0 });
  late.report();
  await until(() => log.length === 3);
  expect(log).toEqual(["top 0", "publication 1", "publication 2"]);
});

it("the first thread that wants a stream gets no report of what it knows already", async () => {
  const { late, client, feed, log, publish } = await setUpLate();
  const limits = { size: 100, ttlMs: 60_000, metaTtlMs: 60_000 };
  late.onRead = () => void late.engine.publish("s", { frame: text("a") }, limits);
  const wanted = client.want("s", feed, { presence: false });
  await until(() => late.isWaitedFor);
  late.onRead = noop;
  late.report();
  expect(await wanted).toMatchObject({ offset: 1 });
  await publish("b");
  late.report();
  await until(() => log.length === 2);
  expect(log).toEqual(["top 1", "publication 2"]);
});

it("the top of a stream is told behind everything up to it", async () => {
  const { late, client, feed, log, publish } = await setUpLate();
  await client.want("s", feed, { presence: false });
  await publish("a", "b");
  late.owner?.doubted();
  await until(() => late.isWaitedFor);
  await client.history("s", { limit: 0 });
  late.report();
  await until(() => log.includes("top 2"));
  expect(log).toEqual(["top 0", "publication 1", "publication 2", "top 2"]);
});

it("a topic that is kept for subscribers of another process begins where it was kept", async () => {
  const { late, connect, client, feed, log, publish } = await setUpLate();
  await publish("a");
  late.report();
  const main = connect({}, {}).client;
  await main.takeover({ kind: "keepTopics", topics: ["s"] });
  await publish("b");
  await client.publish("s", text("fleeting"), { store: false });
  await publish("c");
  await client.want("s", feed, { presence: false });
  expect(log).toEqual(["top 1"]);
  // What waits isn't lost: no check says so.
  late.owner?.doubted();
  await client.history("s", { limit: 0 });
  expect(log).toEqual(["top 1"]);
  late.report();
  await main.takeover({ kind: "end" });
  await until(() => log.includes("top 3"));
  expect(log).toEqual(["top 1", "publication 2", "fleeting", "publication 3", "top 3"]);
});
