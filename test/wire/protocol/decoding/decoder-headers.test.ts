import { describe, expect, it } from "vitest";
import { binary, clientFrame, continuation, ping, text } from "../../../support/frames.ts";
import { decode, decodeBytewise, seenPing, seenText, seenViolation } from "./decoding.ts";

const OPCODES = { text: 0x1, binary: 0x2, close: 0x8, ping: 0x9, pong: 0xa } as const;

describe("reserved bits", () => {
  it.each([1, 2, 3, 4, 5, 6, 7])("refuses a frame with the reserved bits %i", (rsv) => {
    for (const opcode of Object.values(OPCODES)) {
      const frame = clientFrame(opcode, "", { rsv });
      expect(decode([frame])).toEqual([seenViolation("ERR_RESERVED_BITS", 1002)]);
      expect(decodeBytewise(frame)).toEqual([seenViolation("ERR_RESERVED_BITS", 1002)]);
    }
  });

  it("refuses reserved bits on a continuation", () => {
    const bytes = Buffer.concat([text("a", { fin: false }), continuation("b", { rsv: 4 })]);
    expect(decode([bytes])).toEqual([seenViolation("ERR_RESERVED_BITS", 1002)]);
  });
});

describe("opcodes", () => {
  it.each([0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf])("refuses the reserved opcode %i", (opcode) => {
    for (const fin of [true, false]) {
      expect(decode([clientFrame(opcode, "a", { fin })])).toEqual([seenViolation("ERR_RESERVED_OPCODE", 1002)]);
    }
    const inside = Buffer.concat([text("a", { fin: false }), clientFrame(opcode, "a")]);
    expect(decode([inside])).toEqual([seenViolation("ERR_RESERVED_OPCODE", 1002)]);
  });
});

describe("masks", () => {
  it.each(Object.entries(OPCODES))("refuses an unmasked %s frame", (_name, opcode) => {
    expect(decode([clientFrame(opcode, "", { masked: false })])).toEqual([seenViolation("ERR_UNMASKED_FRAME", 1002)]);
  });

  it("refuses an unmasked continuation", () => {
    const bytes = Buffer.concat([text("a", { fin: false }), continuation("b", { masked: false })]);
    expect(decode([bytes])).toEqual([seenViolation("ERR_UNMASKED_FRAME", 1002)]);
  });

  it("accepts a masking key of zeros", () => {
    expect(decode([text("plain", { key: Buffer.alloc(4) })])).toEqual([seenText("plain")]);
  });
});

describe("the first two bytes", () => {
  it("are enough to refuse a frame", () => {
    const frames = [
      [text("abc", { rsv: 1 }), "ERR_RESERVED_BITS"],
      [clientFrame(0x5, "abc"), "ERR_RESERVED_OPCODE"],
      [text("abc", { masked: false }), "ERR_UNMASKED_FRAME"],
      [ping("abc", { fin: false }), "ERR_FRAGMENTED_CONTROL"],
      [ping(Buffer.alloc(200)), "ERR_CONTROL_TOO_LONG"],
      [continuation("abc"), "ERR_UNEXPECTED_CONTINUATION"],
    ] as const;
    for (const [frame, code] of frames) {
      expect(decode([frame.subarray(0, 1)])).toEqual([]);
      expect(decode([frame.subarray(0, 2)])).toEqual([seenViolation(code, 1002)]);
    }
  });

  it("are accepted or refused as the RFC says, for each of their values", () => {
    const allowed = new Set([0x01, 0x02, 0x81, 0x82, 0x88, 0x89, 0x8a]);
    for (let first = 0; first < 256; first++) {
      const masked = decode([Buffer.from([first, 0x80])]);
      expect(masked).toEqual(
        allowed.has(first) ? [] : [expect.objectContaining({ kind: "violation", closeCode: 1002 })],
      );
      const unmasked = decode([Buffer.from([first, 0x00])]);
      expect(unmasked).toEqual([expect.objectContaining({ kind: "violation", closeCode: 1002 })]);
    }
  });
});

describe("after a violation", () => {
  it("no event follows, neither from the same chunk nor from later ones", () => {
    const more = Buffer.concat([text("a"), ping("b")]);
    const chunks = [Buffer.concat([text("before"), text("x", { rsv: 1 }), more]), more, binary(Buffer.alloc(300))];
    expect(decode(chunks)).toEqual([seenText("before"), seenViolation("ERR_RESERVED_BITS", 1002)]);
  });

  it("the message in progress is never completed", () => {
    const chunks = [text("a", { fin: false }), ping("p"), text("x"), continuation("b")];
    expect(decode(chunks)).toEqual([seenPing("p"), seenViolation("ERR_EXPECTED_CONTINUATION", 1002)]);
  });
});
