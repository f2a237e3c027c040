import { describe, expect, it } from "vitest";
import { Decoder } from "../../../../src/wire/protocol/decoding/decoder.ts";
import { clientFrame, close, ping, pong, text } from "../../../support/frames.ts";
import {
  decode,
  decodeBytewise,
  describeEvent,
  feed,
  LIMITS,
  pattern,
  seenClose,
  seenPing,
  seenPong,
  seenText,
  seenViolation,
} from "./decoding.ts";

describe("ping and pong", () => {
  it.each([0, 1, 2, 39, 40, 124, 125])("carry %i bytes", (length) => {
    for (const bytes of [ping(pattern(length)), pong(pattern(length))]) {
      const expected = [bytes[0] === 0x89 ? seenPing(pattern(length)) : seenPong(pattern(length))];
      expect(decode([bytes])).toEqual(expected);
      expect(decodeBytewise(bytes)).toEqual(expected);
    }
  });

  it("needn't be UTF-8", () => {
    expect(decode([ping(Buffer.from([0xff, 0xfe]))])).toEqual([seenPing(Buffer.from([0xff, 0xfe]))]);
  });

  it("keep their bytes when other frames come", () => {
    const decoder = new Decoder(LIMITS);
    const events = [ping("first"), ping("other"), text("third")].flatMap((frame) => feed(decoder, frame));
    expect(events.map(describeEvent)).toEqual([seenPing("first"), seenPing("other"), seenText("third")]);
  });
});

describe("control frames", () => {
  const kinds = { close: 0x8, ping: 0x9, pong: 0xa } as const;

  it.each(Object.entries(kinds))("refuses a %s that is a fragment", (_name, opcode) => {
    expect(decode([clientFrame(opcode, "", { fin: false })])).toEqual([seenViolation("ERR_FRAGMENTED_CONTROL", 1002)]);
  });

  it.each(Object.entries(kinds))(
    "refuses a %s of more than 125 bytes, and one that could be shorter",
    (_name, opcode) => {
      for (const payload of [Buffer.alloc(126), Buffer.alloc(65_536)]) {
        expect(decode([clientFrame(opcode, payload)])).toEqual([seenViolation("ERR_CONTROL_TOO_LONG", 1002)]);
      }
      for (const lengthBits of [16, 64] as const) {
        const frame = clientFrame(opcode, "ab", { lengthBits });
        expect(decode([frame])).toEqual([seenViolation("ERR_CONTROL_TOO_LONG", 1002)]);
      }
    },
  );

  it("count neither as fragments nor as payload", () => {
    const frames = [text("ab", { fin: false }), ...Array.from({ length: 20 }, () => ping(Buffer.alloc(125)))];
    const events = decode([...frames, clientFrame(0x0, "cd")], { maxFragments: 2, maxPayloadBytes: 4 });
    expect(events.at(-1)).toEqual(seenText("abcd"));
    expect(events).toHaveLength(21);
  });
});

describe("close", () => {
  it("has the code 1005 without a payload", () => {
    expect(decode([close()])).toEqual([seenClose(1005)]);
    expect(decodeBytewise(close())).toEqual([seenClose(1005)]);
  });

  it("is refused with a payload of one byte", () => {
    expect(decode([clientFrame(0x8, Buffer.from([3]))])).toEqual([seenViolation("ERR_CLOSE_PAYLOAD", 1002)]);
  });

  it("has a code and no reason with a payload of two bytes", () => {
    expect(decode([close(1000)])).toEqual([seenClose(1000, "")]);
  });

  it("has a code and a reason with a payload of 125 bytes", () => {
    const reason = `${"€".repeat(40)}123`;
    expect(decode([close(4999, reason)])).toEqual([seenClose(4999, reason)]);
    expect(decodeBytewise(close(4999, reason))).toEqual([seenClose(4999, reason)]);
  });

  const notUtf8 = [
    ["a byte that is never in UTF-8", [0x61, 0xff]],
    ["a character that is cut short", [0x61, 0xe2, 0x82]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
    ["an overlong form", [0xc0, 0xaf]],
  ] as const;
  it.each(notUtf8)("is refused with %s in the reason", (_name, bytes) => {
    const frame = clientFrame(0x8, Buffer.from([0x03, 0xe8, ...bytes]));
    expect(decode([frame])).toEqual([seenViolation("ERR_INVALID_UTF8", 1007)]);
  });

  it("is checked for its code before its reason", () => {
    const frame = clientFrame(0x8, Buffer.from([0x03, 0xed, 0xff]));
    expect(decode([frame])).toEqual([seenViolation("ERR_INVALID_CLOSE_CODE", 1002)]);
  });

  it("is the last event, whatever follows it", () => {
    const more = Buffer.concat([text("a"), close(1001), text("b", { rsv: 7 })]);
    expect(decode([Buffer.concat([text("before"), close(1000), more]), more])).toEqual([
      seenText("before"),
      seenClose(1000),
    ]);
    expect(decodeBytewise(Buffer.concat([close(), more]))).toEqual([seenClose(1005)]);
  });
});
