import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeClose, encodeFrame, encodeText, headerBytes, writeHeader } from "../../../src/wire/protocol/frame.ts";
import { Opcode } from "../../../src/wire/protocol/opcode.ts";
import { codePoint } from "../../support/code-points.ts";
import { clientFrame, parseServerFrame } from "../../support/frames.ts";
import { decode, hex, pattern, wireBytes } from "./decoding/decoding.ts";

/** Parses the one frame that these bytes are, and fails when there is more or less. */
function parse(bytes: Buffer): { opcode: number; payload: Buffer } {
  const parsed = parseServerFrame(bytes);
  if (parsed === undefined) throw new Error("the frame is incomplete");
  expect(parsed.rest.length).toBe(0);
  expect(parsed.frame.fin).toBe(true);
  return parsed.frame;
}

const headers = [
  [0, [0x82, 0]],
  [1, [0x82, 1]],
  [125, [0x82, 125]],
  [126, [0x82, 126, 0, 126]],
  [127, [0x82, 126, 0, 127]],
  [65_535, [0x82, 126, 0xff, 0xff]],
  [65_536, [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]],
  [2 ** 32, [0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0]],
  [2 ** 32 + 2 ** 31 + 5, [0x82, 127, 0, 0, 0, 1, 0x80, 0, 0, 5]],
  [Number.MAX_SAFE_INTEGER, [0x82, 127, 0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
] as const;

describe("writeHeader", () => {
  it.each(headers)("encodes a length of %i minimally", (length, expected) => {
    const block = Buffer.alloc(20, 0xee);
    const payloadStart = writeHeader(block, 3, Opcode.binary, length);
    expect([...block.subarray(3, payloadStart)]).toEqual(expected);
    expect(headerBytes(length)).toBe(expected.length);
    expect(block[2]).toBe(0xee);
    expect(block[payloadStart]).toBe(0xee);
  });
});

describe("encodeFrame", () => {
  it.each([0, 1, 125, 126, 127, 65_535, 65_536])("carries %i bytes", (length) => {
    const { opcode, payload } = parse(wireBytes(encodeFrame(Opcode.binary, pattern(length))));
    expect(opcode).toBe(0x2);
    expect(payload.equals(pattern(length))).toBe(true);
  });

  it.each(Object.entries(Opcode))("writes the opcode of a %s frame", (_name, opcode) => {
    expect(parse(wireBytes(encodeFrame(opcode, Buffer.from("x")))).opcode).toBe(opcode);
  });

  it("copies the payload", () => {
    const payload = Buffer.from("before");
    const frame = encodeFrame(Opcode.binary, payload);
    payload.fill("x");
    expect(parse(wireBytes(frame)).payload.toString()).toBe("before");
  });

  it("doesn't change earlier frames", () => {
    const sizes = Array.from({ length: 2_000 }, (_, i) => (i * 37) % 700);
    const frames = sizes.map((size, i) => encodeFrame(Opcode.binary, Buffer.alloc(size, i)));
    for (const [i, size] of sizes.entries()) {
      const frame = frames[i];
      if (frame === undefined || !parse(wireBytes(frame)).payload.equals(Buffer.alloc(size, i))) {
        expect.fail(`frame ${i} was overwritten`);
      }
    }
  });
});

describe("encodeText", () => {
  const units = ["a", "é", "€", "😀", "\ud800"];
  const lengths = [0, 1, 20, 21, 40, 41, 42, 43, 62, 63, 125, 126, 127, 21_845, 21_846, 65_535, 65_536];
  it.each(units)("carries texts of any length made of %j", (unit) => {
    for (const length of lengths) {
      const string = unit.repeat(length);
      const { opcode, payload } = parse(wireBytes(encodeText(string)));
      expect(opcode).toBe(0x1);
      expect(payload.equals(Buffer.from(string))).toBe(true);
    }
  });

  it("writes lone surrogates as U+FFFD, so that the frame is valid UTF-8", () => {
    expect(parse(wireBytes(encodeText("a\ud800b\udc00"))).payload.toString("hex")).toBe("61efbfbd62efbfbd");
  });

  it("doesn't change earlier frames", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: codePoint, maxLength: 60 }), { maxLength: 40 }), (strings) => {
        const frames = strings.map((string) => encodeText(string));
        expect(frames.map((frame) => parse(wireBytes(frame)).payload.toString())).toEqual(strings);
      }),
    );
  });
});

describe("encodeClose", () => {
  it("has no payload without a code", () => {
    expect([...wireBytes(encodeClose())]).toEqual([0x88, 0]);
  });

  it("carries a code alone", () => {
    expect([...wireBytes(encodeClose(1001))]).toEqual([0x88, 2, 0x03, 0xe9]);
  });

  const reasons = [
    ["a reason of 123 bytes whole", "a".repeat(123), "a".repeat(123)],
    ["the first 123 bytes of a longer reason", "a".repeat(124), "a".repeat(123)],
    ["no half of a 2-byte character", "é".repeat(62), "é".repeat(61)],
    ["no third of a 3-byte character", `${"a".repeat(122)}€`, "a".repeat(122)],
    ["no quarter of a 4-byte character", `${"a".repeat(120)}😀`, "a".repeat(120)],
    ["a character that ends at byte 123", `${"a".repeat(119)}😀b`, `${"a".repeat(119)}😀`],
  ] as const;
  it.each(reasons)("carries %s", (_name, reason, carried) => {
    const { opcode, payload } = parse(wireBytes(encodeClose(3000, reason)));
    expect(opcode).toBe(0x8);
    expect(payload.readUInt16BE()).toBe(3000);
    expect(payload.toString("utf8", 2)).toBe(carried);
  });
});

describe("decoding an encoded frame", () => {
  /** Masks an encoded frame, because the decoder of a server reads only masked frames. */
  function asClient(bytes: Buffer, key: Uint8Array): Buffer {
    const { opcode, payload } = parse(bytes);
    return clientFrame(opcode, payload, { key: Buffer.from(key) });
  }
  const key = fc.uint8Array({ minLength: 4, maxLength: 4 });

  it("gives the text", () => {
    fc.assert(
      fc.property(fc.string({ unit: codePoint, maxLength: 200 }), key, (string, key) => {
        const bytes = asClient(wireBytes(encodeText(string)), key);
        expect(decode([bytes])).toEqual([{ kind: "text", payload: hex(string) }]);
      }),
    );
  });

  it("gives the bytes of binary, ping and pong", () => {
    const kinds = { binary: Opcode.binary, ping: Opcode.ping, pong: Opcode.pong } as const;
    fc.assert(
      fc.property(
        fc.constantFrom("binary", "ping", "pong"),
        fc.uint8Array({ maxLength: 125 }),
        key,
        (kind, payload, key) => {
          const bytes = asClient(wireBytes(encodeFrame(kinds[kind], payload)), key);
          expect(decode([bytes])).toEqual([{ kind, payload: hex(payload) }]);
        },
      ),
    );
  });

  it("gives the code and reason of a close", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 3000, max: 4999 }),
        fc.string({ unit: codePoint, maxLength: 30 }),
        (code, reason) => {
          const bytes = asClient(wireBytes(encodeClose(code, reason)), Buffer.from([1, 2, 3, 4]));
          expect(decode([bytes])).toEqual([{ kind: "close", code, reason }]);
        },
      ),
    );
  });
});
