import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ProtobufReader } from "../../../../src/server/protocol/protobuf/reader.ts";
import { ProtobufWriter, varintBytes } from "../../../../src/server/protocol/protobuf/writer.ts";

const FIELD = 1;

/** Reads one field of the given bytes. Returns undefined if they are malformed. */
function readField<Value>(bytes: Buffer, read: (reader: ProtobufReader, end: number) => Value): Value | undefined {
  const reader = new ProtobufReader(bytes);
  expect(reader.field()).toBe(FIELD);
  const value = read(reader, bytes.length);
  const more = reader.more(bytes.length);
  expect(more).toBe(false);
  return reader.failed ? undefined : value;
}

const varint = (...bytes: number[]) => Buffer.of(FIELD << 3, ...bytes);
const delimited = (length: number, ...bytes: number[]) => Buffer.of((FIELD << 3) | 2, length, ...bytes);
const MAX_UINT64 = [255, 255, 255, 255, 255, 255, 255, 255, 255, 1];

describe("a varint", () => {
  it.each([0, 1, 127, 128, 16_383, 16_384, 2 ** 28 - 1, 2 ** 28, 2 ** 32 - 1, 2 ** 32, 2 ** 35, 2 ** 53 - 1])(
    "is read as it was written: %i",
    (value) => {
      const writer = new ProtobufWriter();
      writer.varint(value);
      writer.varint(FIELD << 3);
      const bytes = writer.finish();
      expect(bytes).toHaveLength(1 + varintBytes(value));
      expect(readField(bytes, (reader) => reader.offset())).toBe(value);
    },
  );

  it("is read as an offset of at most 2^53-1", () => {
    expect(readField(varint(...MAX_UINT64), (reader) => reader.offset())).toBe(Number.MAX_SAFE_INTEGER);
  });

  it("loses its upper bits where 32 bits are asked for", () => {
    expect(readField(varint(...MAX_UINT64), (reader) => reader.uint32())).toBe(0xffff_ffff);
    expect(readField(varint(...MAX_UINT64), (reader) => reader.int32())).toBe(-1);
    expect(readField(varint(0x81, 0x80, 0x80, 0x80, 0x10), (reader) => reader.uint32())).toBe(1);
  });

  it("is malformed where its 64 bits don't fit a number", () => {
    expect(readField(varint(...MAX_UINT64), (reader) => reader.int64())).toBe(-1);
    const smallest = [128, 128, 128, 128, 128, 128, 128, 128, 128, 1];
    expect(readField(varint(...smallest), (reader) => reader.int64())).toBeUndefined();
  });

  it("is true with any bit", () => {
    expect(readField(varint(0), (reader) => reader.flag())).toBe(false);
    expect(readField(varint(2), (reader) => reader.flag())).toBe(true);
    expect(readField(varint(128, 128, 128, 128, 128, 1), (reader) => reader.flag())).toBe(true);
  });

  it.each([[[128]], [[128, 128]], [new Array(10).fill(128)], [[...new Array(10).fill(128), 1]], [[]]])(
    "is malformed without an end: %j",
    (bytes) => {
      expect(readField(varint(...bytes), (reader) => reader.uint32())).toBeUndefined();
    },
  );
});

describe("text", () => {
  it("is read as it was written", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (value) => {
        const writer = new ProtobufWriter();
        writer.textOrEmpty(FIELD, value);
        expect(readField(writer.finish(), (reader, end) => reader.text(end))).toBe(value);
      }),
    );
  });

  it.each([[[0xff]], [[0xc3]], [[0xed, 0xa0, 0x80]], [[0xc0, 0x80]], [[0xf4, 0x90, 0x80, 0x80]]])(
    "is malformed if it isn't UTF-8: %j",
    (bytes) => {
      expect(readField(delimited(bytes.length, ...bytes), (reader, end) => reader.text(end))).toBeUndefined();
    },
  );

  it("may have U+FFFD", () => {
    expect(readField(delimited(3, 0xef, 0xbf, 0xbd), (reader, end) => reader.text(end))).toBe("\ufffd");
  });

  it("is malformed if it is longer than the message", () => {
    expect(readField(delimited(3, 0x61, 0x61), (reader, end) => reader.text(end))).toBeUndefined();
    const huge = Buffer.of((FIELD << 3) | 2, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1);
    expect(readField(huge, (reader, end) => reader.bytes(end))).toBeUndefined();
  });
});

describe("a field that the reader doesn't know", () => {
  it.each([
    ["a varint", [0x08, 0x96, 0x01]],
    ["64 bits", [0x09, 1, 2, 3, 4, 5, 6, 7, 8]],
    ["bytes", [0x0a, 2, 1, 2]],
    ["32 bits", [0x0d, 1, 2, 3, 4]],
  ])("is skipped if it is %s, and malformed if it is cut", (_, bytes) => {
    expect(readField(Buffer.from(bytes), (reader, end) => reader.skip(end) ?? "skipped")).toBe("skipped");
    const cut = Buffer.from(bytes).subarray(0, -1);
    expect(readField(cut, (reader, end) => reader.skip(end) ?? "skipped")).toBeUndefined();
  });

  it.each([3, 4, 6, 7])("is malformed if it has the wire type %i", (wireType) => {
    const bytes = Buffer.of((FIELD << 3) | wireType, 0);
    expect(readField(bytes, (reader, end) => reader.skip(end) ?? "skipped")).toBeUndefined();
  });

  it.each([[[0x00, 0]], [[0x80, 0x80, 0x80, 0x80, 0x10, 0]]])(
    "is malformed if its number is 0 or too large: %j",
    (bytes) => {
      const reader = new ProtobufReader(Buffer.from(bytes));
      expect(reader.field()).toBe(0);
      expect(reader.failed).toBe(true);
      expect(reader.more(bytes.length)).toBe(false);
    },
  );
});

it("a field of a wrong wire type is malformed", () => {
  expect(readField(varint(1), (reader, end) => reader.text(end))).toBeUndefined();
  expect(readField(delimited(1, 1), (reader) => reader.uint32())).toBeUndefined();
});
