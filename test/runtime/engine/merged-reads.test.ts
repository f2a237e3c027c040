import { expect, it } from "vitest";
import { GatedEngine } from "./gated-engine.ts";
import { RecordingFeed, span, startHost, text, until } from "./host.ts";

/** The ranges of the history reads that wait at the gate. */
function ranges({ waiting }: GatedEngine): unknown[] {
  return waiting.map(({ args }) => args[1]);
}

it("a thousand reads of one tick are one read, and each gets its part of the same records", async () => {
  const gate = new GatedEngine("history");
  const { connect } = await startHost({}, gate.engine);
  const { client } = connect();
  await Promise.all(span(1, 60).map((index) => client.publish("s", text(String(index)))));
  const reads = span(0, 999).map((index) => client.readSince("s", 10 + (index % 50)));
  await until(() => gate.waiting.length > 0);
  expect(ranges(gate)).toEqual([{ since: 10, limit: 100_000 }]);
  gate.open();
  const results = await Promise.all(reads);
  for (const [index, { top, records }] of results.entries()) {
    expect(top.offset).toBe(60);
    expect(records.map(({ offset }) => offset)).toEqual(span(11 + (index % 50), 60));
  }
  expect(results[0]?.records[49]).toBe(results[49]?.records[0]);
  expect(gate.waiting).toEqual([]);
});

it("a read joins the one under way of a wanted topic if that begins early enough; all others share the next", async () => {
  const gate = new GatedEngine("history");
  const { connect } = await startHost({}, gate.engine);
  const { client } = connect();
  const wanted = client.want("s", new RecordingFeed(), { presence: false });
  await until(() => gate.waiting.length === 1);
  gate.open();
  await wanted;
  await Promise.all(span(1, 20).map((index) => client.publish("s", text(String(index)))));
  const first = client.readSince("s", 10);
  await until(() => gate.waiting.length === 1);
  const joined = client.readSince("s", 15);
  const others = [client.readSince("s", 3), client.readSince("s", 5)];
  expect(ranges(gate)).toEqual([{ since: 10, limit: 100_000 }]);
  gate.open();
  expect((await first).records.length).toBe(10);
  expect((await joined).records.length).toBe(5);
  await until(() => gate.waiting.length === 1);
  expect(ranges(gate)).toEqual([{ since: 3, limit: 100_000 }]);
  gate.open();
  expect((await Promise.all(others)).map(({ records }) => records.length)).toEqual([17, 15]);
});

it("a read that is older than what had arrived when a subscriber asked is not given to that subscriber", async () => {
  const gate = new GatedEngine("history");
  const { connect } = await startHost({}, gate.engine);
  const { client } = connect();
  const feed = new RecordingFeed();
  const wanted = client.want("s", feed, { presence: false });
  await until(() => gate.waiting.length === 1);
  gate.open();
  await wanted;
  await client.publish("s", text("1"));
  const old = client.readSince("s", 0);
  await until(() => gate.waiting.length === 1);
  // The read is made now, but its answer is held back, as by a network.
  const [held] = gate.waiting.splice(0);
  const owner = gate.owner;
  const { records } = await (async () => ({ records: feed.publications }))();
  expect(records.length).toBe(1);
  // The engine reports the next publication before the answer.
  owner?.published("s", feed.publications[0]?.epoch ?? "", { offset: 2, timeMs: 0, frame: text("2") });
  await until(() => feed.offsets.includes(2));
  const late = client.readSince("s", 0);
  held?.open();
  expect((await old).top.offset).toBe(1);
  await until(() => gate.waiting.length === 1);
  await client.publish("s", text("2"));
  gate.open();
  expect((await late).records.map(({ offset }) => offset)).toEqual([1, 2]);
});

it("a read that fails rejects its subscribers, and the next is made", async () => {
  const gate = new GatedEngine("history");
  const { connect, host } = await startHost({}, gate.engine);
  const { client } = connect();
  const failing = client.readSince("s", 5);
  await until(() => gate.waiting.length === 1);
  const next = client.readSince("s", 1);
  await host.engine.stop();
  gate.open();
  await expect(failing).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
  await until(() => gate.waiting.length === 1);
  gate.open();
  await expect(next).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
});
