import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Decoder } from "../../../../src/wire/protocol/decoding/decoder.ts";
import { codePoint } from "../../../support/code-points.ts";
import { binary, clientFrame, continuation, ping, text } from "../../../support/frames.ts";
import {
  decode,
  decodeBytewise,
  describeEvent,
  feed,
  LIMITS,
  seenBinary,
  seenPing,
  seenText,
  seenViolation,
} from "./decoding.ts";

const INVALID = seenViolation("ERR_INVALID_UTF8", 1007);
const textOf = (bytes: Uint8Array, fin = true): Buffer => clientFrame(0x1, bytes, { fin });

const bad = [
  ["a lone continuation byte", [0x80]],
  ["an overlong NUL", [0xc0, 0x80]],
  ["an overlong 3-byte form", [0xe0, 0x9f, 0xbf]],
  ["an overlong 4-byte form", [0xf0, 0x8f, 0xbf, 0xbf]],
  ["a surrogate", [0xed, 0xa0, 0x80]],
  ["a code point beyond U+10FFFF", [0xf4, 0x90, 0x80, 0x80]],
  ["the byte FF", [0xff]],
  ["a lead byte without its continuation", [0xe2, 0x41]],
] as const;

describe.each(bad)("a text with %s", (_name, bytes) => {
  const around = Buffer.concat([Buffer.from("αβγ "), Buffer.from(bytes), Buffer.from(" δεζ")]);

  it("is refused with 1007", () => {
    expect(decode([textOf(around)])).toEqual([INVALID]);
    expect(decodeBytewise(textOf(around))).toEqual([INVALID]);
  });

  it("is refused in any two chunks", () => {
    const frame = textOf(around);
    for (let cut = 0; cut <= frame.length; cut++) {
      expect(decode([frame.subarray(0, cut), frame.subarray(cut)])).toEqual([INVALID]);
    }
  });

  it("is refused in any two fragments", () => {
    for (let cut = 0; cut <= around.length; cut++) {
      const frames = [textOf(around.subarray(0, cut), false), continuation(around.subarray(cut))];
      expect(decode([Buffer.concat(frames)])).toEqual([INVALID]);
    }
  });

  it("is accepted as binary", () => {
    expect(decode([binary(around)])).toEqual([seenBinary(around)]);
  });
});

describe("failing early", () => {
  it("refuses a fragment at its first bad byte, while its frame is still arriving", () => {
    const first = Buffer.concat([Buffer.from("κόσμε"), Buffer.from([0xf4, 0x90]), Buffer.alloc(5_000, "x")]);
    const frame = textOf(first, false);
    const badAt = 8 + Buffer.byteLength("κόσμε") + 1;
    const decoder = new Decoder(LIMITS);
    expect(feed(decoder, frame.subarray(0, badAt))).toEqual([]);
    expect(feed(decoder, frame.subarray(badAt, badAt + 1)).map(describeEvent)).toEqual([INVALID]);
  });

  it("refuses a final frame before most of it has arrived", () => {
    const frame = textOf(Buffer.concat([Buffer.from("ok"), Buffer.from([0xff]), Buffer.alloc(60_000, "x")]));
    expect(decode([frame.subarray(0, 8 + 2)])).toEqual([]);
    expect(decode([frame.subarray(0, 8 + 3)])).toEqual([INVALID]);
  });

  it("refuses a whole fragment before the message ends", () => {
    expect(decode([textOf(Buffer.from([0xc0]), false)])).toEqual([INVALID]);
  });

  it("refuses a continuation that doesn't continue the character", () => {
    const frames = [
      textOf(Buffer.from([0xe2]), false),
      ping("p"),
      clientFrame(0x0, Buffer.from([0x28]), { fin: false }),
    ];
    expect(decode(frames)).toEqual([seenPing("p"), INVALID]);
  });
});

describe("characters cut by fragments and chunks", () => {
  const string = "aé€😀\u{10ffff}z";
  const bytes = Buffer.from(string);

  it("are taken in two fragments, cut at every byte", () => {
    for (let cut = 0; cut <= bytes.length; cut++) {
      const frames = [textOf(bytes.subarray(0, cut), false), continuation(bytes.subarray(cut))];
      expect(decode([Buffer.concat(frames)])).toEqual([seenText(string)]);
      expect(decodeBytewise(Buffer.concat(frames))).toEqual([seenText(string)]);
    }
  });

  it("are taken in fragments of one byte with pings and empty fragments in between", () => {
    const frames = Array.from(bytes, (byte, i) => [
      clientFrame(i === 0 ? 0x1 : 0x0, Buffer.from([byte]), { fin: false }),
      continuation("", { fin: false }),
      ping("p"),
    ]).flat();
    const events = decode([...frames, continuation("")]);
    expect(events.at(-1)).toEqual(seenText(string));
    expect(events).toHaveLength(bytes.length + 1);
  });

  it("are taken in two chunks, cut at every byte", () => {
    const frame = text(string);
    for (let cut = 0; cut <= frame.length; cut++) {
      expect(decode([frame.subarray(0, cut), frame.subarray(cut)])).toEqual([seenText(string)]);
    }
  });

  it.each(["é", "€", "😀"])("are refused when the message ends inside %s", (character) => {
    const whole = Buffer.from(character);
    for (let length = 1; length < whole.length; length++) {
      const cutShort = Buffer.concat([Buffer.from("abc"), whole.subarray(0, length)]);
      expect(decode([textOf(cutShort)])).toEqual([INVALID]);
      expect(decodeBytewise(textOf(cutShort))).toEqual([INVALID]);
      expect(decode([textOf(cutShort, false), continuation("")])).toEqual([INVALID]);
    }
  });

  it("don't carry over to the next message", () => {
    expect(decode([text("€", { fin: false }), continuation("é"), text("ok")])).toEqual([
      seenText("€é"),
      seenText("ok"),
    ]);
  });
});

describe("any bytes as text", () => {
  const strict = new TextDecoder("utf-8", { fatal: true });
  const anyBytes = fc.oneof(
    fc.uint8Array({ maxLength: 80 }),
    fc.string({ unit: codePoint, maxLength: 80 }).map((string) => new Uint8Array(Buffer.from(string))),
    fc
      .tuple(
        fc.string({ unit: codePoint, maxLength: 40 }),
        fc.uint8Array({ maxLength: 2 }),
        fc.string({ maxLength: 40 }),
      )
      .map(([a, b, c]) => new Uint8Array(Buffer.concat([Buffer.from(a), b, Buffer.from(c)]))),
  );

  it("are accepted or refused as TextDecoder does, whole, in fragments and byte by byte", () => {
    fc.assert(
      fc.property(anyBytes, fc.nat({ max: 100 }), (bytes, cutAt) => {
        let expected = [seenText(bytes)];
        try {
          strict.decode(bytes);
        } catch {
          expected = [INVALID];
        }
        const cut = cutAt % (bytes.length + 1);
        const fragments = Buffer.concat([textOf(bytes.subarray(0, cut), false), continuation(bytes.subarray(cut))]);
        expect(decode([textOf(bytes)])).toEqual(expected);
        expect(decode([fragments])).toEqual(expected);
        expect(decodeBytewise(fragments)).toEqual(expected);
      }),
      { numRuns: 1_000 },
    );
  });
});
