/** What the host does for connections that move between the threads of two clients. */
import { expect, it } from "vitest";
import { GatedEngine } from "./gated-engine.ts";
import { RecordingFeed, startHost, text, until } from "./host.ts";

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
