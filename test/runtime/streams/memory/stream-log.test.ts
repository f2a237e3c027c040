import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { HistoryRange } from "../../../../src/runtime/streams/engine.ts";
import { StreamLog } from "../../../../src/runtime/streams/memory/stream-log.ts";
import { encodeFrame, encodeText } from "../../../../src/wire/protocol/frame.ts";
import { Opcode } from "../../../../src/wire/protocol/opcode.ts";
import { ALL, contentOf, copyOf, offsetsOf, span } from "../contract/cluster.ts";

function logOf(count: number, text = (offset: number) => `${offset}`): StreamLog {
  const log = new StreamLog();
  for (const offset of span(1, count)) log.append(encodeText(text(offset)), offset, undefined);
  return log;
}

describe("StreamLog", () => {
  it("begins with nothing", () => {
    const log = new StreamLog();
    expect([log.length, log.top, log.bytes]).toEqual([0, 0, 0]);
    expect(log.read(ALL, 0)).toEqual([]);
    expect(log.read({ ...ALL, reverse: true }, 0)).toEqual([]);
  });

  it("keeps offset, time and bytes of each record", () => {
    const log = new StreamLog();
    log.append(encodeText("a"), 1_700_000_000_000, undefined);
    log.append(encodeFrame(Opcode.binary, Buffer.from([0, 255])), 1_700_000_000_005, undefined);
    const records = log.read(ALL, 1_700_000_000_005);
    expect(records.map(({ offset, timeMs }) => [offset, timeMs])).toEqual([
      [1, 1_700_000_000_000],
      [2, 1_700_000_000_005],
    ]);
    expect(records.map(({ frame }) => copyOf(frame).toString("hex"))).toEqual(["810161", "820200ff"]);
  });

  it("keeps times that lie months apart", () => {
    const log = new StreamLog();
    const times = [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 33, 2 ** 33 + 1];
    for (const timeMs of times) log.append(encodeText("a"), timeMs, undefined);
    expect(log.read(ALL, 0).map(({ timeMs }) => timeMs)).toEqual(times);
  });

  it("trims to the newest, and frees what lies before them", () => {
    const log = logOf(1_000, (offset) => `${offset} ${"x".repeat(100)}`);
    const all = log.bytes;
    log.trim(1_000);
    expect([log.length, log.bytes]).toEqual([1_000, all]);
    log.trim(10);
    expect(offsetsOf(log.read(ALL, 0))).toEqual(span(991, 1_000));
    expect([log.length, log.top]).toEqual([10, 1_000]);
    expect(log.bytes).toBeLessThanOrEqual(2 * 16 * 1024);
    log.trim(0);
    expect([log.length, log.read(ALL, 0)]).toEqual([0, []]);
    log.append(encodeText("next"), 2_000, undefined);
    expect(contentOf(log.read(ALL, 0))).toEqual([[1_001, "next"]]);
  });

  it("goes on after the top when it was cleared", () => {
    const log = logOf(50);
    log.clear();
    expect([log.length, log.top, log.bytes]).toEqual([0, 50, 0]);
    log.append(encodeText("next"), 100, undefined);
    expect(contentOf(log.read(ALL, 0))).toEqual([[51, "next"]]);
  });

  it("drops chunk after chunk from the front, down to nothing", () => {
    const log = logOf(1_000);
    let [bytes, length] = [log.bytes, log.length];
    for (;;) {
      log.dropOldestChunk();
      expect(offsetsOf(log.read(ALL, 0))).toEqual(span(1_001 - log.length, 1_000));
      expect([log.bytes < bytes, log.length < length]).toEqual([true, true]);
      [bytes, length] = [log.bytes, log.length];
      if (length === 0) break;
    }
    expect(bytes).toBe(0);
    log.dropOldestChunk();
    expect([log.length, log.bytes, log.top]).toEqual([0, 0, 1_000]);
  });

  it("frees a chunk when all its records have expired, and not before", () => {
    const log = new StreamLog();
    const text = "x".repeat(200);
    // Two records of a chunk of 512 bytes.
    log.append(encodeText(text), 0, 100);
    log.append(encodeText(text), 0, 200);
    log.append(encodeText(text), 0, undefined);
    const { bytes } = log;
    log.dropExpired(199);
    expect([log.length, log.bytes]).toEqual([3, bytes]);
    log.dropExpired(200);
    expect([log.length, log.bytes < bytes]).toEqual([1, true]);
    log.dropExpired(Number.MAX_SAFE_INTEGER);
    expect(offsetsOf(log.read(ALL, 10_000))).toEqual([3]);
  });

  it.each([
    { life: 1, aliveAt: 1_000, goneAt: 1_001 },
    { life: 500, aliveAt: 1_499, goneAt: 1_500 },
    { life: 2 ** 31 - 1, aliveAt: 1_000 + 2 ** 31 - 2, goneAt: 1_000 + 2 ** 31 - 1 },
  ])("hands out a record for $life ms", ({ life, aliveAt, goneAt }) => {
    const log = new StreamLog();
    log.append(encodeText("a"), 1_000, life);
    expect(log.read(ALL, aliveAt)).toHaveLength(1);
    expect(log.read(ALL, goneAt)).toEqual([]);
    expect(log.read({ ...ALL, reverse: true }, goneAt)).toEqual([]);
  });

  it("takes little memory for a stream of one record, and none twice for a large one", () => {
    expect(logOf(1).bytes).toBeLessThanOrEqual(512);
    const large = logOf(1, () => "x".repeat(1_000_000));
    expect(large.bytes).toBeLessThan(1_000_100);
  });

  it("keeps the newest of a size alone in its memory, however long the stream", () => {
    const log = new StreamLog();
    for (const offset of span(1, 10_000)) {
      log.append(encodeText("x".repeat(100)), offset, undefined);
      log.trim(100);
      expect(log.bytes).toBeLessThan(25_000);
    }
  });

  it("never writes over what was read, while it goes on", () => {
    const log = logOf(100);
    const records = log.read(ALL, 0);
    for (const offset of span(101, 5_000)) {
      log.append(encodeText(`${offset}`), offset, undefined);
      log.trim(10);
    }
    log.clear();
    expect(contentOf(records)).toEqual(span(1, 100).map((offset) => [offset, `${offset}`]));
  });

  it("reads what an array of all records would give, whatever the sizes", () => {
    const size = fc.oneof(fc.nat(300), fc.nat(20_000));
    const ranges = fc.record({
      since: fc.option(fc.nat(60), { nil: undefined }),
      limit: fc.nat(60),
      reverse: fc.boolean(),
    });
    const property = fc.property(
      fc.array(size, { maxLength: 50 }),
      fc.integer({ min: 1, max: 50 }),
      ranges,
      (sizes, kept, range) => {
        const log = new StreamLog();
        const model: { offset: number; bytes: Buffer }[] = [];
        for (const [index, bytes] of sizes.entries()) {
          const frame = encodeFrame(Opcode.binary, Buffer.alloc(bytes, index));
          log.append(frame, index, undefined);
          log.trim(kept);
          model.push({ offset: index + 1, bytes: copyOf(frame) });
          if (model.length > kept) model.shift();
        }
        const { since, limit, reverse } = range satisfies HistoryRange;
        const inRange = model.filter(({ offset }) => (reverse ? offset < (since ?? Infinity) : offset > (since ?? 0)));
        const expected = (reverse ? inRange.toReversed() : inRange).slice(0, limit);
        const read = log.read(range, 1_000).map(({ offset, frame }) => ({ offset, bytes: copyOf(frame) }));
        expect(offsetsOfModel(read)).toEqual(offsetsOfModel(expected));
        expect(read.every(({ bytes }, index) => expected[index]?.bytes.equals(bytes))).toBe(true);
        expect(log.length).toBe(model.length);
      },
    );
    fc.assert(property, { numRuns: 300 });
  });
});

function offsetsOfModel(records: readonly { readonly offset: number }[]): number[] {
  return records.map(({ offset }) => offset);
}
