import { describe, expect, it, vi } from "vitest";
import { Decoder } from "../../../../src/wire/protocol/decoding/decoder.ts";
import { binary, clientFrame, continuation, ping, text } from "../../../support/frames.ts";
import { decode, feed, pattern, seenBinary, seenPing, seenText, seenViolation } from "./decoding.ts";

const TOO_BIG = seenViolation("ERR_MESSAGE_TOO_BIG", 1009);
const TOO_MANY = seenViolation("ERR_TOO_MANY_FRAGMENTS", 1008);
const MIB = 1024 * 1024;

/** The first bytes of a masked binary frame with a 64-bit length: no mask, no payload. */
function header(payloadBytes: number): Buffer {
  const head = Buffer.alloc(10);
  head[0] = 0x82;
  head[1] = 0xff;
  head.writeBigUInt64BE(BigInt(payloadBytes), 2);
  return head;
}

describe("maxPayloadBytes", () => {
  it.each([1, 125, 126, 127, 65_535, 65_536])("accepts %i bytes at that limit and refuses one more", (limit) => {
    expect(decode([binary(pattern(limit))], { maxPayloadBytes: limit })).toEqual([seenBinary(pattern(limit))]);
    expect(decode([binary(pattern(limit + 1))], { maxPayloadBytes: limit })).toEqual([TOO_BIG]);
  });

  it("is checked on the header, before the key and the payload arrive", () => {
    expect(decode([header(MIB + 1)], { maxPayloadBytes: MIB })).toEqual([TOO_BIG]);
    expect(decode([clientFrame(0x2, pattern(1_001)).subarray(0, 4)], { maxPayloadBytes: 1_000 })).toEqual([TOO_BIG]);
    expect(decode([text("abcde").subarray(0, 2)], { maxPayloadBytes: 4 })).toEqual([TOO_BIG]);
  });

  it("counts all fragments of a message, and refuses the one too many on its header", () => {
    const fragments = [text("abc", { fin: false }), ping("p"), continuation("def", { fin: false })];
    expect(decode([...fragments, continuation("g")], { maxPayloadBytes: 7 })).toEqual([
      seenPing("p"),
      seenText("abcdefg"),
    ]);
    const last = continuation("gh").subarray(0, 2);
    expect(decode([...fragments, last], { maxPayloadBytes: 7 })).toEqual([seenPing("p"), TOO_BIG]);
  });

  it("counts each message separately", () => {
    const messages = [text("abc", { fin: false }), continuation("d"), text("efgh"), text("ijkl")];
    expect(decode(messages, { maxPayloadBytes: 4 })).toEqual([seenText("abcd"), seenText("efgh"), seenText("ijkl")]);
  });

  it("accepts an empty continuation when a message is at the limit", () => {
    expect(decode([text("abcd", { fin: false }), continuation("")], { maxPayloadBytes: 4 })).toEqual([
      seenText("abcd"),
    ]);
  });
});

describe("memory", () => {
  const LARGE = 512 * MIB;

  function grownBy(run: () => void): number {
    const before = process.memoryUsage().arrayBuffers;
    run();
    return process.memoryUsage().arrayBuffers - before;
  }

  it("isn't allocated for a payload that was only announced", () => {
    const decoder = new Decoder({ maxPayloadBytes: LARGE, maxFragments: 10 });
    const grown = grownBy(() => {
      expect(feed(decoder, Buffer.concat([header(LARGE - 1), Buffer.alloc(4), Buffer.from("first bytes")]))).toEqual(
        [],
      );
    });
    expect(grown).toBeLessThan(MIB);
  });

  it("isn't allocated for a payload that a later fragment only announced", () => {
    const decoder = new Decoder({ maxPayloadBytes: LARGE, maxFragments: 10 });
    const later = header(LARGE - 100);
    later[0] = 0x80;
    const grown = grownBy(() => {
      feed(decoder, binary(pattern(50), { fin: false }));
      expect(feed(decoder, Buffer.concat([later, Buffer.alloc(4), Buffer.from("x")]))).toEqual([]);
    });
    expect(grown).toBeLessThan(MIB);
  });

  it("grows with the bytes that have arrived of a large payload", () => {
    const decoder = new Decoder({ maxPayloadBytes: LARGE, maxFragments: 10 });
    const chunk = Buffer.alloc(64 * 1024);
    const grown = grownBy(() => {
      decoder.feed(Buffer.concat([header(LARGE), Buffer.alloc(4)]));
      expect(decoder.next()).toBeUndefined();
      for (let i = 0; i < 16; i++) {
        decoder.feed(chunk);
        expect(decoder.next()).toBeUndefined();
      }
    });
    // 1 MiB has come: at most 2 MiB for it, and as much again in outgrown blocks that aren't collected yet.
    expect(grown).toBeLessThan(6 * MIB);
  });
});

describe("work", () => {
  it("grows with the bytes of a message, not with its fragments times its bytes", () => {
    const fragments = 4_096;
    const fragment = pattern(16);
    const bytes = Buffer.concat([
      binary(fragment, { fin: false }),
      ...Array.from({ length: fragments - 2 }, () => continuation(fragment, { fin: false })),
      continuation(fragment),
    ]);
    const decoder = new Decoder({ maxPayloadBytes: MIB, maxFragments: fragments });
    const allocations = vi.spyOn(Buffer, "allocUnsafeSlow");
    decoder.feed(bytes);
    const event = decoder.next();
    const allocated = allocations.mock.calls.reduce((sum, [size]) => sum + size, 0);
    allocations.mockRestore();
    expect(event).toMatchObject({ kind: "message", byteLength: fragments * 16 });
    expect(allocated).toBeLessThan(8 * fragments * 16);
  });
});

describe("maxFragments", () => {
  /** A message of `count` frames, of which the last one is final. */
  function fragments(count: number, payload: string): Buffer[] {
    return Array.from({ length: count }, (_, i) => clientFrame(i === 0 ? 0x1 : 0x0, payload, { fin: i === count - 1 }));
  }

  it.each([1, 2, 3, 100])("accepts %i frames at that limit and refuses one more", (maxFragments) => {
    const whole = seenText("a".repeat(maxFragments));
    expect(decode(fragments(maxFragments, "a"), { maxFragments })).toEqual([whole]);
    expect(decode([Buffer.concat(fragments(maxFragments, "a"))], { maxFragments })).toEqual([whole]);
    expect(decode(fragments(maxFragments + 1, "a"), { maxFragments })).toEqual([TOO_MANY]);
  });

  it("counts empty fragments", () => {
    expect(decode(fragments(5, ""), { maxFragments: 5 })).toEqual([seenText("")]);
    expect(decode(fragments(6, ""), { maxFragments: 5 })).toEqual([TOO_MANY]);
  });

  it("refuses the frame too many on its header, although the message never ends", () => {
    const endless = fragments(10, "").slice(0, 5);
    expect(decode([...endless, continuation("", { fin: false }).subarray(0, 2)], { maxFragments: 5 })).toEqual([
      TOO_MANY,
    ]);
  });

  it("counts a frame once when its header arrives byte by byte", () => {
    const bytes = Buffer.concat(fragments(3, "a".repeat(200)));
    const chunks = Array.from(bytes, (byte) => Buffer.from([byte]));
    expect(decode(chunks, { maxFragments: 3 })).toEqual([seenText("a".repeat(600))]);
    const shortFrames = Array.from(Buffer.concat(fragments(3, "a")), (byte) => Buffer.from([byte]));
    expect(decode(shortFrames, { maxFragments: 3 })).toEqual([seenText("aaa")]);
  });

  it("counts each message separately", () => {
    expect(decode([...fragments(3, "a"), ...fragments(3, "b")], { maxFragments: 3 })).toEqual([
      seenText("aaa"),
      seenText("bbb"),
    ]);
  });
});
