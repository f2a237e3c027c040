import { expect, it, onTestFinished, vi } from "vitest";
import { MergedReads } from "../../../../src/runtime/engine/client/merged-reads.ts";
import { GatedEngine } from "../gated-engine.ts";
import { RecordingFeed, span, startHost, text, until } from "../host.ts";

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

/** Reads of a stream with `top` publications, and the offsets after which they began. */
function countedReads(stream: { epoch: string; top: number }): { reads: MergedReads; begins: number[] } {
  const begins: number[] = [];
  const reads = new MergedReads(async (_topic, offset) => {
    begins.push(offset);
    const records = span(offset + 1, stream.top).map((index) => ({ offset: index, timeMs: 0, frame: text("a") }));
    return { top: { epoch: stream.epoch, offset: stream.top }, records };
  });
  return { reads, begins };
}

it("a read is given to whoever comes within 250 ms, and to nobody later", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const { reads, begins } = countedReads({ epoch: "e", top: 60 });
  const here = { epoch: "e", offset: 60 };
  const first = await reads.read("s", 10, here);
  vi.advanceTimersByTime(249);
  const soon = await Promise.all([reads.read("s", 10, here), reads.read("s", 20, here), reads.read("s", 20, here)]);
  expect(begins).toEqual([10]);
  expect(soon[0]).toBe(first);
  expect(soon[1]).toBe(soon[2]);
  expect(soon[1]?.records.map(({ offset }) => offset)).toEqual(span(21, 60));
  vi.advanceTimersByTime(1);
  await reads.read("s", 10, here);
  expect(begins).toEqual([10, 10]);
});

it.each([
  { who: "that begins too late", offset: 9, arrived: { epoch: "e", offset: 60 } },
  { who: "older than what has arrived", offset: 10, arrived: { epoch: "e", offset: 61 } },
  { who: "of another epoch", offset: 10, arrived: { epoch: "f", offset: 60 } },
  { who: "whose top is below the subscriber's own position", offset: 61, arrived: { epoch: "e", offset: 60 } },
  { who: "made before the call, where what arrived is unknown", offset: 10, arrived: undefined },
])("a read $who is not given to a subscriber that comes soon after it", async ({ offset, arrived }) => {
  const { reads, begins } = countedReads({ epoch: "e", top: 60 });
  await reads.read("s", 10, { epoch: "e", offset: 60 });
  await reads.read("s", offset, arrived);
  expect(begins).toEqual([10, offset]);
});

it("a read that was forgotten is given to nobody, and reads of more than 16 MiB are not kept", async () => {
  const { reads, begins } = countedReads({ epoch: "e", top: 60 });
  const here = { epoch: "e", offset: 60 };
  await reads.read("s", 10, here);
  await reads.read("t", 10, here);
  reads.forget("s");
  await Promise.all([reads.read("s", 10, here), reads.read("t", 10, here)]);
  expect(begins).toEqual([10, 10, 10]);
  reads.forget();
  await Promise.all([reads.read("s", 10, here), reads.read("t", 10, here)]);
  expect(begins.length).toBe(5);
  const block = Buffer.alloc(17 * 1024 * 1024);
  let large = 0;
  const top = { epoch: "e", offset: 1 };
  const largeReads = new MergedReads(async () => {
    large++;
    return { top, records: [{ offset: 1, timeMs: 0, frame: { block, start: 0, end: block.length } }] };
  });
  await largeReads.read("s", 0, top);
  await largeReads.read("s", 0, top);
  expect(large).toBe(2);
});

it("who asks anew gets a read that begins after the call", async () => {
  const gate = new GatedEngine("history");
  const { connect } = await startHost({}, gate.engine);
  const { client } = connect();
  const wanted = client.want("s", new RecordingFeed(), { presence: false });
  await until(() => gate.waiting.length === 1);
  gate.open();
  await wanted;
  await client.publish("s", text("1"));
  const first = client.readSince("s", 0);
  await until(() => gate.waiting.length === 1);
  const anew = client.readAnew("s", 0);
  gate.open();
  await first;
  await until(() => gate.waiting.length === 1);
  gate.open();
  expect((await anew).records.length).toBe(1);
});
