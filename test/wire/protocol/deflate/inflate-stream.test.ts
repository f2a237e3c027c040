import { deflateRawSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import {
  inflateAnew,
  inflateInPlace,
  inflateWay,
  tryInflate,
} from "../../../../src/wire/protocol/deflate/inflate-stream.ts";
import { deflateMessage } from "../../../support/deflate.ts";
import { pattern } from "../decoding/decoding.ts";

const NOTHING = Buffer.alloc(0);
const KIB = 1024;
const settings = { windowBits: 15, dictionary: NOTHING, maxBytes: 8 * KIB * KIB };

it("inflates in place on this version of Node", () => {
  expect(inflateWay()).toBe(inflateInPlace);
  const [one, other] = ["one", "other"].map((word) => inflateWay()(deflateRawSync(word), settings).bytes);
  expect(one?.buffer).toBe(other?.buffer);
});

describe.each([
  ["anew", inflateAnew],
  ["in place", inflateInPlace],
])("inflating %s", (_, inflate) => {
  it.each([0, 1, 255, 256, 257, 65_535, 65_536, 65_537, KIB * KIB, 2 * KIB * KIB, 2 * KIB * KIB + 1, 5 * KIB * KIB])(
    "returns %i bytes, however often",
    (size) => {
      const plain = pattern(size);
      const input = deflateRawSync(plain);
      for (let i = 0; i < 3; i++) {
        const { bytes, consumedBytes } = inflate(input, { ...settings, maxBytes: size });
        expect(bytes.equals(plain)).toBe(true);
        expect(consumedBytes).toBe(input.length);
      }
    },
  );

  it("consumes no more of the input than the stream", () => {
    const stream = deflateRawSync("a text");
    const { bytes, consumedBytes } = inflate(Buffer.concat([stream, Buffer.from("more")]), settings);
    expect([bytes.toString(), consumedBytes]).toEqual(["a text", stream.length]);
  });

  it("refers to a dictionary of any length", () => {
    for (const size of [1, 2, 300, 32_767, 32_768]) {
      const dictionary = pattern(size);
      const plain = Buffer.concat([dictionary, pattern(100), dictionary]);
      const input = deflateRawSync(plain, { dictionary });
      const { bytes, consumedBytes } = inflate(input, { ...settings, dictionary });
      expect([bytes.equals(plain), consumedBytes]).toEqual([true, input.length]);
      expect(inflate(deflateRawSync("none"), settings).bytes.toString()).toBe("none");
    }
  });

  it("refers to no other dictionary than its own", () => {
    const dictionary = pattern(1_000);
    const input = deflateRawSync(dictionary, { dictionary });
    inflate(input, { ...settings, dictionary });
    expect(() => inflate(input, settings)).toThrow(expect.objectContaining({ code: "Z_DATA_ERROR" }));
    for (let bits = 9; bits <= 15; bits++) {
      const small = { ...settings, windowBits: bits };
      expect(inflate(deflateRawSync(dictionary, { windowBits: bits }), small).bytes).toEqual(dictionary);
    }
  });

  it("refers to a dictionary in a message", () => {
    const dictionary = Buffer.from("a text that is long enough to be referred to");
    const input = Buffer.concat([deflateMessage(dictionary, dictionary), Buffer.from("0000ffff010000ffff", "hex")]);
    expect(inflate(input, { ...settings, dictionary }).bytes).toEqual(dictionary);
  });

  it.each([
    ["inflates beyond the limit", deflateRawSync(Buffer.alloc(KIB * KIB)), "ERR_BUFFER_TOO_LARGE"],
    ["isn't a deflate stream", Buffer.alloc(100, 0xff), "Z_DATA_ERROR"],
    ["is incomplete", deflateRawSync(pattern(1_000)).subarray(0, -3), "Z_BUF_ERROR"],
  ])("throws for input that %s, and works afterwards", (__, input, code) => {
    expect(() => inflate(input, { ...settings, maxBytes: 64 * KIB })).toThrow(expect.objectContaining({ code }));
    expect(inflate(deflateRawSync("a text"), settings).bytes.toString()).toBe("a text");
  });
});

it("returns the code of the violation", () => {
  expect(tryInflate(deflateRawSync("a text"), { ...settings, maxBytes: 5 })).toBe("ERR_MESSAGE_TOO_BIG");
  expect(tryInflate(deflateRawSync("x"), { ...settings, maxBytes: 0 })).toBe("ERR_MESSAGE_TOO_BIG");
  expect(tryInflate(Buffer.alloc(9, 0xff), settings)).toBe("ERR_INVALID_DEFLATE");
});
