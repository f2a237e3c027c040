import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Utf8Validator } from "../../../../src/wire/protocol/decoding/utf8.ts";
import { codePoint } from "../../../support/code-points.ts";

const strict = new TextDecoder("utf-8", { fatal: true });

function isValid(bytes: Uint8Array): boolean {
  try {
    strict.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/**
 * True when a text that begins with these bytes can still be valid: independently proven by a continuation that works.
 */
function canBecomeValid(bytes: Uint8Array): boolean {
  const tails = [[], [0x80], [0xbf], [0x80, 0x80], [0xbf, 0x80], [0x80, 0x80, 0x80], [0xbf, 0x80, 0x80], [0x90, 0x80]];
  return tails.some((tail) => isValid(Uint8Array.from([...bytes, ...tail])));
}

/**
 * Pushes pieces one after the other. Returns the verdict, and how many bytes had been pushed when the validator failed.
 */
function validate(pieces: readonly Uint8Array[]): { valid: boolean; failedAfter: number | undefined } {
  const validator = new Utf8Validator();
  let pushed = 0;
  for (const piece of pieces) {
    pushed += piece.length;
    if (!validator.push(Buffer.from(piece), 0, piece.length)) return { valid: false, failedAfter: pushed };
  }
  return { valid: validator.complete, failedAfter: undefined };
}

function bytewise(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (byte) => Uint8Array.of(byte));
}

/** The interesting bytes: every kind of lead byte, both ends of every continuation range, and ASCII. */
const edgeByte = fc.constantFrom(
  0x00,
  0x41,
  0x7f,
  0x80,
  0x8f,
  0x90,
  0x9f,
  0xa0,
  0xbf,
  0xc0,
  0xc1,
  0xc2,
  0xdf,
  0xe0,
  0xe1,
  0xec,
  0xed,
  0xee,
  0xef,
  0xf0,
  0xf1,
  0xf3,
  0xf4,
  0xf5,
  0xf7,
  0xf8,
  0xfb,
  0xfc,
  0xfd,
  0xfe,
  0xff,
);
const anyBytes = fc.oneof(
  fc.array(edgeByte, { maxLength: 12 }).map((bytes) => Uint8Array.from(bytes)),
  fc.uint8Array({ maxLength: 12 }),
  fc.string({ unit: codePoint }).map((string) => new Uint8Array(Buffer.from(string))),
  fc
    .tuple(fc.string({ unit: codePoint, maxLength: 40 }), edgeByte, fc.string({ unit: codePoint, maxLength: 40 }))
    .map(([before, byte, after]) => Uint8Array.from([...Buffer.from(before), byte, ...Buffer.from(after)])),
);

const invalid = [
  ["a lone continuation byte", [0x80], 1],
  ["an overlong 2-byte NUL", [0xc0, 0x80], 1],
  ["an overlong 2-byte slash", [0xc1, 0xaf], 1],
  ["an overlong 3-byte form", [0xe0, 0x9f, 0xbf], 2],
  ["an overlong 4-byte form", [0xf0, 0x8f, 0xbf, 0xbf], 2],
  ["the first surrogate, U+D800", [0xed, 0xa0, 0x80], 2],
  ["the last surrogate, U+DFFF", [0xed, 0xbf, 0xbf], 2],
  ["a surrogate pair in 6 bytes", [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80], 2],
  ["U+110000, one beyond the last", [0xf4, 0x90, 0x80, 0x80], 2],
  ["a lead byte F5", [0xf5, 0x80, 0x80, 0x80], 1],
  ["a 5-byte sequence", [0xf8, 0x88, 0x80, 0x80, 0x80], 1],
  ["a 6-byte sequence", [0xfc, 0x84, 0x80, 0x80, 0x80, 0x80], 1],
  ["the byte FE", [0xfe], 1],
  ["the byte FF", [0xff], 1],
  ["a sequence cut by ASCII", [0xe2, 0x82, 0x41], 3],
  ["a sequence cut by another lead byte", [0xf0, 0x9f, 0xc3, 0xa9], 3],
] as const;

const valid = [
  ["nothing", ""],
  ["ASCII with NUL and DEL", "\u0000a\u007f"],
  ["the edges of 2 bytes", "\u0080\u07ff"],
  ["the edges of 3 bytes", "\u0800\uffff"],
  ["the neighbours of the surrogates", "\ud7ff\ue000"],
  ["the edges of 4 bytes", "\u{10000}\u{10ffff}"],
  ["a byte order mark", "\ufeffa"],
  ["non-characters", "\ufffe\uffff\u{1ffff}"],
] as const;

describe("Utf8Validator", () => {
  it.each(valid)("accepts %s, whole and byte by byte", (_name, string) => {
    const bytes = Buffer.from(string);
    expect(validate([bytes]).valid).toBe(true);
    expect(validate(bytewise(bytes)).valid).toBe(true);
  });

  it.each(invalid)("rejects %s at the first byte that can't be right", (_name, bytes, failsAfter) => {
    const around = [Uint8Array.from([...Buffer.from("before é"), ...bytes, ...Buffer.from("after")])];
    expect(validate(around).valid).toBe(false);
    expect(validate(bytewise(Uint8Array.from(bytes)))).toEqual({ valid: false, failedAfter: failsAfter });
  });

  it.each(["é", "€", "😀"])("is incomplete inside %s and complete after it", (character) => {
    const bytes = Buffer.from(character);
    const validator = new Utf8Validator();
    for (let i = 0; i < bytes.length; i++) {
      expect(validator.push(bytes, i, i + 1)).toBe(true);
      expect(validator.complete).toBe(i === bytes.length - 1);
    }
  });

  it("is complete again after a reset", () => {
    const validator = new Utf8Validator();
    validator.push(Buffer.from([0xed]), 0, 1);
    validator.reset();
    expect(validator.complete).toBe(true);
    expect(validator.push(Buffer.from("a€"), 0, 4)).toBe(true);
    expect(validator.complete).toBe(true);
  });

  it("reads no byte outside the given range", () => {
    const validator = new Utf8Validator();
    expect(validator.push(Buffer.from([0xff, 0x61, 0xff]), 1, 2)).toBe(true);
    expect(validator.push(Buffer.from([0xe2, 0x82, 0xac]), 3, 3)).toBe(true);
    expect(validator.complete).toBe(true);
  });

  it("agrees with TextDecoder on every sequence of two bytes, whole and byte by byte", () => {
    for (let pair = 0; pair < 0x1_0000; pair++) {
      const bytes = Uint8Array.of(pair >> 8, pair & 0xff);
      const expected = isValid(bytes);
      if (validate([bytes]).valid !== expected || validate(bytewise(bytes)).valid !== expected) {
        expect.fail(`wrong about ${Buffer.from(bytes).toString("hex")}`);
      }
    }
  });

  it("agrees with TextDecoder on any bytes in any pieces", () => {
    fc.assert(
      fc.property(anyBytes, fc.array(fc.nat({ max: 100 }), { maxLength: 5 }), (bytes, cuts) => {
        const edges = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
        const pieces = edges.slice(1).map((edge, i) => bytes.subarray(edges[i], edge));
        expect(validate(pieces).valid).toBe(isValid(bytes));
      }),
      { numRuns: 3_000 },
    );
  });

  it("fails exactly at the first byte after which no text can be valid", () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const ends = Array.from(bytes, (_, i) => i + 1);
        const firstBad = ends.find((end) => !canBecomeValid(bytes.subarray(0, end)));
        expect(validate(bytewise(bytes)).failedAfter).toBe(firstBad);
      }),
      { numRuns: 1_000 },
    );
  });
});
