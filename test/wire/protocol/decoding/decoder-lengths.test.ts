import { describe, expect, it } from "vitest";
import { Decoder } from "../../../../src/wire/protocol/decoding/decoder.ts";
import { binary, clientFrame, text } from "../../../support/frames.ts";
import {
  decode,
  decodeBytewise,
  describeEvent,
  feed,
  hex,
  LIMITS,
  pattern,
  seenBinary,
  seenText,
  seenViolation,
} from "./decoding.ts";

const LENGTHS = [0, 1, 125, 126, 127, 65_535, 65_536] as const;

/** A masked header with a 64-bit length, and nothing after it. */
function header64(length: bigint): Buffer {
  const head = Buffer.alloc(14);
  head[0] = 0x82;
  head[1] = 0xff;
  head.writeBigUInt64BE(length, 2);
  return head;
}

describe("payload lengths", () => {
  it.each(LENGTHS)("accepts a text and a binary message of %i bytes", (length) => {
    const string = "t".repeat(length);
    expect(decode([text(string)])).toEqual([seenText(string)]);
    expect(decode([binary(pattern(length))])).toEqual([seenBinary(pattern(length))]);
  });

  it.each(LENGTHS)("accepts %i bytes that arrive one by one", (length) => {
    expect(decodeBytewise(binary(pattern(length)))).toEqual([seenBinary(pattern(length))]);
  });

  it.each(LENGTHS)("accepts %i bytes in two chunks, cut in the header and near both ends of the payload", (length) => {
    const bytes = binary(pattern(length));
    const expected = [seenBinary(pattern(length))];
    const cuts = Array.from(bytes, (_, i) => i).filter((i) => i < 150 || i > bytes.length - 20);
    for (const cut of cuts) expect(decode([bytes.subarray(0, cut), bytes.subarray(cut)])).toEqual(expected);
  });

  it("gives no event before the last byte of a frame has arrived", () => {
    for (const length of LENGTHS) {
      const bytes = binary(pattern(length));
      const decoder = new Decoder(LIMITS);
      expect(feed(decoder, bytes.subarray(0, -1))).toEqual([]);
      expect(feed(decoder, bytes.subarray(-1))).toHaveLength(1);
    }
  });

  it("unmasks two frames in a row, each with its own key", () => {
    const first = text("one", { key: Buffer.from([1, 2, 3, 4]) });
    const second = text("two", { key: Buffer.from([0, 0, 0, 0]) });
    expect(decode([Buffer.concat([first, second])])).toEqual([seenText("one"), seenText("two")]);
  });

  it("gives no event for an empty chunk", () => {
    expect(decode([])).toEqual([]);
    expect(decode([Buffer.alloc(0), Buffer.alloc(0)])).toEqual([]);
  });
});

describe("lengths that aren't minimal", () => {
  const notMinimal = [
    [0, 16],
    [1, 16],
    [125, 16],
    [0, 64],
    [125, 64],
    [126, 64],
    [65_535, 64],
  ] as const;
  it.each(notMinimal)("refuses %i in %i bits", (length, lengthBits) => {
    const frame = clientFrame(0x2, Buffer.alloc(length), { lengthBits });
    expect(decode([frame])).toEqual([seenViolation("ERR_LENGTH_NOT_MINIMAL", 1002)]);
    const header = frame.subarray(0, lengthBits === 16 ? 4 : 10);
    expect(decode([header])).toEqual([seenViolation("ERR_LENGTH_NOT_MINIMAL", 1002)]);
  });

  it("refuses one in a continuation too", () => {
    const frames = [binary(pattern(3), { fin: false }), clientFrame(0x0, pattern(3), { lengthBits: 16 })];
    expect(decode(frames)).toEqual([seenViolation("ERR_LENGTH_NOT_MINIMAL", 1002)]);
  });
});

describe("64-bit lengths", () => {
  it.each([2n ** 63n, 2n ** 63n + 1n, 2n ** 64n - 1n])("refuses the length %s, whose top bit is set", (length) => {
    expect(decode([header64(length)])).toEqual([seenViolation("ERR_LENGTH_TOP_BIT", 1002)]);
    expect(decodeBytewise(header64(length))).toEqual([seenViolation("ERR_LENGTH_TOP_BIT", 1002)]);
  });

  it.each([2n ** 31n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n])(
    "refuses the length %s as too big, not as malformed",
    (length) => {
      expect(decode([header64(length)])).toEqual([seenViolation("ERR_MESSAGE_TOO_BIG", 1009)]);
    },
  );

  it("doesn't mistake a length that differs from a small one only in its upper half", () => {
    expect(decode([header64(2n ** 32n + 4n)], { maxPayloadBytes: 2 ** 31 })).toEqual([
      seenViolation("ERR_MESSAGE_TOO_BIG", 1009),
    ]);
  });
});

describe("borrowed chunks", () => {
  it.each([1, 39, 40, 200, 65_536])("may be overwritten without changing a message of %i bytes", (length) => {
    const chunk = binary(pattern(length));
    const decoder = new Decoder(LIMITS);
    decoder.feed(chunk);
    const event = decoder.next();
    decoder.next();
    chunk.fill(0);
    expect(event && describeEvent(event)).toEqual({ kind: "binary", payload: hex(pattern(length)) });
  });

  it("are left unchanged", () => {
    const chunk = Buffer.concat([text("hello"), binary(pattern(300)), binary(pattern(500)).subarray(0, 100)]);
    const before = Buffer.from(chunk);
    const decoder = new Decoder(LIMITS);
    decoder.feed(chunk);
    while (decoder.next() !== undefined);
    expect(chunk.equals(before)).toBe(true);
  });

  it("may be overwritten after a part of a header", () => {
    const bytes = binary(pattern(300));
    for (let cut = 1; cut < 8; cut++) {
      const decoder = new Decoder(LIMITS);
      expect(feed(decoder, bytes.subarray(0, cut))).toEqual([]);
      expect(feed(decoder, bytes.subarray(cut)).map(describeEvent)).toEqual([seenBinary(pattern(300))]);
    }
  });
});
