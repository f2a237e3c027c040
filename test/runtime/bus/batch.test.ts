import fc from "fast-check";
import { expect, it } from "vitest";
import { BatchReader, BatchWriter, packRecords, unpackRecords } from "../../../src/runtime/bus/batch.ts";
import type { Frame } from "../../../src/wire/protocol/frame.ts";

/** A frame somewhere inside a larger block, as frames are. */
function frameOf(bytes: Uint8Array): Frame {
  const block = Buffer.concat([Buffer.from("before"), bytes, Buffer.from("after")]);
  return { block, start: 6, end: 6 + bytes.length };
}

interface Record {
  readonly topicId: number;
  readonly bytes: string;
}

function read(batch: ArrayBuffer): Record[] {
  const records: Record[] = [];
  const reader = new BatchReader(batch);
  while (!reader.ended) {
    records.push(
      reader.next((topicId, { block, start, end }) => ({ topicId, bytes: block.toString("hex", start, end) })),
    );
  }
  return records;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

it("returns the frames that were put in, in order, with their topics", () => {
  const writer = new BatchWriter();
  writer.append(7, frameOf(Buffer.from("one")));
  writer.append(0, frameOf(Buffer.from("two")));
  writer.append(0xffff_ffff, frameOf(Buffer.from("three")));
  expect(read(writer.take())).toEqual([
    { topicId: 7, bytes: hex(Buffer.from("one")) },
    { topicId: 0, bytes: hex(Buffer.from("two")) },
    { topicId: 0xffff_ffff, bytes: hex(Buffer.from("three")) },
  ]);
});

it("reads nothing from an empty batch", () => {
  expect(read(new BatchWriter().take())).toEqual([]);
});

it("is empty after take", () => {
  const writer = new BatchWriter();
  writer.append(1, frameOf(Buffer.from("first")));
  writer.take();
  expect(writer.length).toBe(0);
  writer.append(2, frameOf(Buffer.from("second")));
  expect(read(writer.take())).toEqual([{ topicId: 2, bytes: hex(Buffer.from("second")) }]);
});

it("returns memory of its own, which later frames don't change", () => {
  const writer = new BatchWriter();
  writer.append(1, frameOf(Buffer.from("first")));
  const batch = writer.take();
  writer.append(2, frameOf(Buffer.from("other")));
  expect(read(batch)).toEqual([{ topicId: 1, bytes: hex(Buffer.from("first")) }]);
});

it("takes no more memory than its frames and their headers", () => {
  const writer = new BatchWriter();
  writer.append(1, frameOf(Buffer.alloc(10)));
  expect(writer.take().byteLength).toBe(18);
  writer.append(1, frameOf(Buffer.alloc(60_000)));
  expect(writer.take().byteLength).toBe(60_008);
});

it.each([
  { bytes: 64 * 1024 - 9, full: false },
  { bytes: 64 * 1024 - 8, full: true },
  { bytes: 64 * 1024, full: true },
])("is full ($full) with one frame of $bytes bytes", ({ bytes, full }) => {
  const writer = new BatchWriter();
  writer.append(1, frameOf(Buffer.alloc(bytes)));
  expect(writer.full).toBe(full);
});

it.each([0, 1, 4087, 4088, 4089, 65_535, 65_536, 131_072, 5 * 1024 * 1024])("carries a frame of %i bytes", (bytes) => {
  const payload = Buffer.alloc(bytes, "0123456789");
  const writer = new BatchWriter();
  writer.append(1, frameOf(Buffer.from("small")));
  writer.append(2, frameOf(payload));
  writer.append(3, frameOf(Buffer.from("after")));
  const reader = new BatchReader(writer.take());
  const frames: Buffer[] = [];
  while (!reader.ended) frames.push(reader.next((_topicId, { block, start, end }) => block.subarray(start, end)));
  expect(frames).toHaveLength(3);
  expect(frames[1]?.equals(payload)).toBe(true);
  expect(frames[2]?.toString()).toBe("after");
});

it("carries any frames in any number of batches", () => {
  const record = fc.record({ topicId: fc.nat({ max: 0xffff_ffff }), bytes: fc.uint8Array({ maxLength: 6_000 }) });
  fc.assert(
    fc.property(fc.array(fc.array(record, { maxLength: 30 }), { maxLength: 4 }), (batches) => {
      const writer = new BatchWriter();
      for (const records of batches) {
        for (const { topicId, bytes } of records) writer.append(topicId, frameOf(bytes));
        expect(read(writer.take())).toEqual(records.map(({ topicId, bytes }) => ({ topicId, bytes: hex(bytes) })));
      }
    }),
    { numRuns: 50 },
  );
});

it("gives back publications of streams, in order, with their topics, offsets and times", () => {
  const publication = fc.record({
    topicId: fc.integer({ min: 0, max: 0xffff_ffff }),
    offset: fc.maxSafeNat(),
    timeMs: fc.maxSafeNat(),
    bytes: fc.uint8Array({ maxLength: 300 }),
  });
  fc.assert(
    fc.property(fc.array(publication), (publications) => {
      const writer = new BatchWriter();
      for (const { topicId, bytes, ...place } of publications) {
        writer.appendRecord(topicId, { ...place, frame: frameOf(bytes) });
      }
      const reader = new BatchReader(writer.take());
      for (const { topicId, bytes, ...place } of publications) {
        const read = reader.nextRecord((id, { offset, timeMs, frame }) => {
          return { topicId: id, offset, timeMs, bytes: frame.block.toString("hex", frame.start, frame.end) };
        });
        expect(read).toEqual({ topicId, ...place, bytes: hex(bytes) });
      }
      expect(reader.ended).toBe(true);
    }),
  );
});

it("packs publications of one stream into memory of exactly their size", () => {
  const records = [1, 2, 3].map((offset) => ({ offset, timeMs: 1_000 + offset, frame: frameOf(Buffer.alloc(offset)) }));
  const batch = packRecords(records);
  expect(batch.byteLength).toBe(8 + 3 * 24 + 6);
  expect(unpackRecords(batch).map(({ offset, timeMs, frame }) => [offset, timeMs, frame.end - frame.start])).toEqual([
    [1, 1_001, 1],
    [2, 1_002, 2],
    [3, 1_003, 3],
  ]);
  expect(unpackRecords(packRecords([]))).toEqual([]);
});

it("packs publications with their frames side by side", () => {
  const record = fc.record({
    offset: fc.maxSafeNat(),
    timeMs: fc.maxSafeNat(),
    bytes: fc.uint8Array({ maxLength: 300 }),
  });
  fc.assert(
    fc.property(fc.array(record, { maxLength: 30 }), (records) => {
      const packed = packRecords(records.map(({ bytes, ...place }) => ({ ...place, frame: frameOf(bytes) })));
      let end: number | undefined;
      const unpacked = unpackRecords(packed).map(({ frame, ...place }) => {
        expect(frame.start).toBe(end ?? frame.start);
        end = frame.end;
        return { ...place, bytes: Uint8Array.from(frame.block.subarray(frame.start, frame.end)) };
      });
      expect(unpacked).toEqual(records);
      expect(end ?? packed.byteLength).toBe(packed.byteLength);
    }),
  );
});
