import { describe, expect, it } from "vitest";
import type { Stream } from "../../../../src/runtime/streams/memory/stream.ts";
import { StreamStore } from "../../../../src/runtime/streams/memory/stream-store.ts";
import { encodeText } from "../../../../src/wire/protocol/frame.ts";
import { ALL, LIMITS, offsetsOf, span } from "../contract/cluster.ts";

const MIB = 1024 * 1024;

/** A store, and what tests do with it: always at one time, unless they say another. */
function open({ maxBytes = MIB, maxStreams = 1_000 } = {}) {
  const store = new StreamStore({ maxBytes, maxStreams });
  return {
    store,
    publish: (topic: string, bytes = 100, nowMs = 0, limits = LIMITS): Stream =>
      store.append(topic, encodeText("x".repeat(bytes)), undefined, limits, nowMs),
    offsets: (topic: string, nowMs = 0): number[] => offsetsOf(store.read(topic, ALL, LIMITS, nowMs)[1]),
    epoch: (topic: string, nowMs = 0): string => store.read(topic, { limit: 0 }, LIMITS, nowMs)[0].epoch,
  };
}

describe("bounds in bytes", () => {
  it("drops the list whose last publish is longest ago, and keeps its epoch and top", () => {
    const { store, publish, offsets, epoch } = open();
    const before = publish("old", 300_000).epoch;
    publish("middle", 300_000);
    publish("old", 10);
    publish("new", 300_000);
    expect([offsets("old"), offsets("middle"), offsets("new")]).toEqual([[1, 2], [1], [1]]);
    publish("newest", 300_000);
    // "middle" was published to least recently, though "old" came first.
    expect([offsets("old"), offsets("middle"), offsets("new"), offsets("newest")]).toEqual([[1, 2], [], [1], [1]]);
    expect(epoch("old")).toBe(before);
    expect(publish("middle").log.top).toBe(2);
    expect(store.gauges()).toMatchObject({ evicted_publications: 1, forgotten_streams: 0 });
  });

  it("drops the oldest publications of a stream that fills it all by itself", () => {
    const { store, publish, offsets } = open();
    for (const _ of span(1, 20)) publish("t", 100_000);
    const kept = offsets("t");
    expect(kept).toEqual(span(21 - kept.length, 20));
    expect(kept.length).toBeGreaterThanOrEqual(9);
    const { bytes, evicted_publications: evicted } = store.gauges();
    expect(bytes).toBeLessThanOrEqual(MIB);
    expect(evicted).toBe(20 - kept.length);
  });

  it("refuses a publication that is too large, and keeps all others", () => {
    const { store, publish, offsets } = open();
    publish("t");
    const before = store.gauges();
    expect(() => publish("t", MIB / 2)).toThrow(expect.objectContaining({ code: "ERR_ENGINE_FULL" }));
    expect(() => publish("other", MIB / 2)).toThrow(expect.objectContaining({ code: "ERR_ENGINE_FULL" }));
    expect(store.gauges()).toEqual(before);
    expect(offsets("t")).toEqual([1]);
  });

  it("stays within them, with true counts, whatever is published", () => {
    const { store, publish } = open();
    let random = 1;
    const topics = span(1, 30).map((number) => `t${number}`);
    for (const step of span(1, 3_000)) {
      random = (random * 48_271) % 2_147_483_647;
      const topic = topics[random % topics.length] as string;
      if (step % 50 === 0) store.remove(topic);
      else publish(topic, random % (step % 7 === 0 ? 100_000 : 500), step, { ...LIMITS, size: 1 + (random % 40) });
      expect(store.gauges()["bytes"]).toBeLessThanOrEqual(MIB);
    }
    const kept = topics.map((topic) => store.read(topic, ALL, LIMITS, 3_000));
    const publications = kept.reduce((sum, [, records]) => sum + records.length, 0);
    const bytes = kept.reduce((sum, [{ log }]) => sum + log.bytes, 0);
    expect(store.gauges()).toMatchObject({ streams: 30, publications, bytes });
  });
});

describe("bounds in streams", () => {
  it("forgets the stream without publications that was used least recently", () => {
    const { store, publish, epoch } = open({ maxStreams: 3 });
    const [a, b] = [epoch("a"), epoch("b")];
    publish("c");
    expect(epoch("a")).toBe(a);
    publish("d");
    expect(store.gauges()).toMatchObject({ streams: 3, forgotten_streams: 1, evicted_publications: 0 });
    expect(epoch("a")).toBe(a);
    expect(epoch("b")).not.toBe(b);
  });

  it("forgets the one published to least recently, when all have publications", () => {
    const { store, publish, offsets } = open({ maxStreams: 2 });
    publish("a");
    const { epoch } = publish("b");
    publish("a");
    publish("c");
    expect(store.gauges()).toMatchObject({
      streams: 2,
      forgotten_streams: 1,
      evicted_publications: 1,
      publications: 3,
    });
    expect(offsets("a")).toEqual([1, 2]);
    const again = publish("b");
    expect([again.log.top, offsets("b")]).toEqual([1, [1]]);
    expect(again.epoch).not.toBe(epoch);
  });

  it("keeps wanted streams, and refuses another stream when all are wanted", () => {
    const { store, publish, epoch } = open({ maxStreams: 2 });
    for (const topic of ["a", "b"]) store.want(topic);
    const [a, b] = [epoch("a"), epoch("b")];
    expect(() => publish("c")).toThrow(expect.objectContaining({ code: "ERR_ENGINE_FULL" }));
    expect([epoch("a"), epoch("b")]).toEqual([a, b]);
    store.unwant("a", 0);
    publish("c");
    expect(epoch("b")).toBe(b);
    expect(store.gauges()).toMatchObject({ streams: 2, forgotten_streams: 1 });
  });

  it("reports to a topic that was wanted before it had a stream, and after its stream was forgotten", () => {
    const { store, publish } = open({ maxStreams: 1 });
    store.want("a");
    expect(publish("a").wanted).toBe(true);
    store.unwant("a", 0);
    expect(publish("b").wanted).toBe(false);
    store.want("a");
    expect(publish("a").wanted).toBe(true);
  });
});

describe("time", () => {
  const limits = { size: 10, ttlMs: 100, metaTtlMs: 1_000 };

  it("frees lists and forgets streams when the sweep comes by, a bounded number at a time", () => {
    const { store, publish } = open();
    for (const number of span(1, 10)) publish(`t${number}`, 100, 0, limits);
    store.sweep(4, 100);
    expect(store.gauges()).toMatchObject({ streams: 10, publications: 6 });
    store.sweep(4, 100);
    store.sweep(4, 100);
    expect(store.gauges()).toMatchObject({ streams: 10, publications: 0, bytes: 0 });
    for (const _ of span(1, 4)) store.sweep(4, 1_000);
    // What time takes is no loss that an operator needs to hear of.
    expect(store.gauges()).toMatchObject({ streams: 0, evicted_publications: 0, forgotten_streams: 0 });
  });

  it("frees publications that have expired by themselves", () => {
    const { store } = open();
    for (const _ of span(1, 3)) store.append("t", encodeText("a"), 50, LIMITS, 0);
    store.sweep(10, 49);
    expect(store.gauges()).toMatchObject({ publications: 3 });
    store.sweep(10, 50);
    store.sweep(10, 50);
    expect(store.gauges()).toMatchObject({ publications: 0, bytes: 0 });
    expect(store.read("t", { limit: 0 }, LIMITS, 50)[0].log.top).toBe(3);
  });

  it("keeps the epoch of a wanted topic for as long as it is wanted, and its meta's time after", () => {
    const { store, publish } = open();
    store.want("t");
    const { epoch } = publish("t", 100, 0, limits);
    store.sweep(10, 50_000);
    expect(publish("t", 100, 100_000, limits).epoch).toBe(epoch);
    store.unwant("t", 200_000);
    expect(store.read("t", { limit: 0 }, limits, 200_999)[0].epoch).toBe(epoch);
    expect(store.read("t", { limit: 0 }, limits, 201_999)[0].epoch).not.toBe(epoch);
  });
});

it("gives each stream an epoch that is safe in URLs", () => {
  const { epoch } = open({ maxStreams: 1_000 });
  const epochs = new Set(span(1, 1_000).map((number) => epoch(`t${number}`)));
  expect(epochs.size).toBe(1_000);
  for (const one of epochs) expect(one).toMatch(/^[\w-]{8}$/);
});
