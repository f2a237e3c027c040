import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Decoder } from "../../../../src/wire/protocol/decoding/decoder.ts";
import { encodeFrame } from "../../../../src/wire/protocol/frame.ts";
import { maskFrame } from "../../../../src/wire/protocol/masking/mask-frame.ts";
import { Opcode } from "../../../../src/wire/protocol/opcode.ts";
import { deflateBomb, deflateMessage } from "../../../support/deflate.ts";
import { clientFrame, continuation, ping, text } from "../../../support/frames.ts";
import { compressed, createDeflater, createInflater } from "../deflate/deflating.ts";
import {
  decode,
  decodeBytewise,
  feed,
  LIMITS,
  pattern,
  seenBinary,
  seenPing,
  seenText,
  seenViolation,
  wireBytes,
} from "./decoding.ts";
import { cuts, split } from "./sessions.ts";

const RESERVED = seenViolation("ERR_RESERVED_BITS", 1002);
const hello = deflateMessage("Hello");

describe("a compressed message", () => {
  it("is inflated, whether text or binary", () => {
    const frames = [clientFrame(0x41, hello), text("plain"), clientFrame(0x42, hello)];
    expect(decode(frames, compressed())).toEqual([seenText("Hello"), seenText("plain"), seenBinary("Hello")]);
    expect(decodeBytewise(Buffer.concat(frames), compressed())).toHaveLength(3);
  });

  it("may come in fragments, with control frames between them", () => {
    const frames = [
      clientFrame(0x41, hello.subarray(0, 2), { fin: false }),
      ping("p"),
      continuation("", { fin: false }),
      continuation(hello.subarray(2, 3), { fin: false }),
      continuation(hello.subarray(3)),
    ];
    expect(decode(frames, compressed())).toEqual([seenPing("p"), seenText("Hello")]);
    expect(decodeBytewise(Buffer.concat(frames), compressed())).toEqual([seenPing("p"), seenText("Hello")]);
  });

  it("becomes a frame that can be sent to other peers unchanged", () => {
    const decoder = new Decoder(compressed());
    const [message] = feed(decoder, clientFrame(0x42, deflateMessage(pattern(70_000))));
    if (message?.kind !== "message") return expect.fail("no message");
    expect(wireBytes(message)).toEqual(wireBytes(encodeFrame(Opcode.binary, pattern(70_000))));
  });

  it("reaches a client unmasked", () => {
    const frame = clientFrame(0x41, hello, { masked: false });
    expect(decode([frame], { ...compressed(), role: "client" })).toEqual([seenText("Hello")]);
  });
});

describe("the compressed bit", () => {
  it.each([
    ["without an agreement", [clientFrame(0x41, hello)], LIMITS],
    ["on a ping", [clientFrame(0x49, hello)], compressed()],
    ["on a pong", [clientFrame(0x4a, hello)], compressed()],
    ["on a close", [clientFrame(0x48, hello)], compressed()],
    ["on a continuation", [clientFrame(0x41, hello, { fin: false }), clientFrame(0x40, "")], compressed()],
    ["on a plain message's continuation", [text("a", { fin: false }), clientFrame(0x40, hello)], compressed()],
    ["on a reserved opcode", [clientFrame(0x43, hello)], compressed()],
    ["with the second", [clientFrame(0x61, hello)], compressed()],
    ["with the third", [clientFrame(0x51, hello)], compressed()],
    ["replaced by the second", [clientFrame(0x21, hello)], compressed()],
  ])("%s closes with 1002", (_name, frames, options) => {
    expect(decode(frames, options)).toEqual([RESERVED]);
  });

  it("closes with 1002 when it is set on a message inside a fragmented one", () => {
    const frames = [clientFrame(0x41, hello, { fin: false }), clientFrame(0x41, hello)];
    expect(decode(frames, compressed())).toEqual([seenViolation("ERR_EXPECTED_CONTINUATION", 1002)]);
  });
});

describe("limits", () => {
  const TOO_BIG = seenViolation("ERR_MESSAGE_TOO_BIG", 1009);

  it("count inflated bytes", () => {
    const frame = clientFrame(0x42, deflateMessage(pattern(1_000)));
    expect(decode([frame], { ...compressed(), maxPayloadBytes: 1_000 })).toEqual([seenBinary(pattern(1_000))]);
    expect(decode([frame], { ...compressed(), maxPayloadBytes: 999 })).toEqual([TOO_BIG]);
  });

  it("count compressed bytes, too, when the header has arrived", () => {
    const fragments = [clientFrame(0x42, pattern(600), { fin: false }), continuation(pattern(500)).subarray(0, 4)];
    expect(decode(fragments, { ...compressed(), maxPayloadBytes: 1_000 })).toEqual([TOO_BIG]);
  });

  it("count fragments", () => {
    const fragments = [clientFrame(0x41, hello, { fin: false }), continuation("", { fin: false }), continuation("")];
    expect(decode(fragments, { ...compressed(), maxFragments: 3 })).toEqual([seenText("Hello")]);
    expect(decode(fragments, { ...compressed(), maxFragments: 2 })).toEqual([
      seenViolation("ERR_TOO_MANY_FRAGMENTS", 1008),
    ]);
  });

  it("stop a decompression bomb, after which no event follows", () => {
    const bomb = Buffer.concat([deflateBomb(64 * 1024 * 1024), pattern(100)]);
    expect(decode([clientFrame(0x42, bomb), clientFrame(0x41, hello)], compressed())).toEqual([TOO_BIG]);
  });
});

describe("bad content", () => {
  it.each([
    ["a corrupt stream", [clientFrame(0x41, "garbage")], "ERR_INVALID_DEFLATE"],
    ["a stream cut short", [clientFrame(0x41, hello.subarray(0, 4))], "ERR_INVALID_DEFLATE"],
    ["text that isn't UTF-8", [clientFrame(0x41, deflateMessage(Buffer.from([0xc3])))], "ERR_INVALID_UTF8"],
  ] as const)("%s closes with 1007", (_name, frames, code) => {
    expect(decode(frames, compressed())).toEqual([seenViolation(code, 1007)]);
  });

  it("isn't reported for the compressed bytes of a text, which aren't UTF-8", () => {
    const euro = "€".repeat(100);
    expect(decodeBytewise(clientFrame(0x41, deflateMessage(euro)), compressed())).toEqual([seenText(euro)]);
  });
});

const payload = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  fc.tuple(fc.string({ maxLength: 30 }), fc.nat(300)).map(([text, count]) => Buffer.from(text.repeat(count))),
);

it("restores any message that our deflater compressed and a client masked, in any fragments and chunks", () => {
  const windowBits = fc.integer({ min: 9, max: 15 });
  const messages = fc.array(fc.record({ payload, cuts }), { maxLength: 5 });
  fc.assert(
    fc.property(messages, windowBits, fc.boolean(), cuts, (messages, peerWindowBits, peerContextTakeover, cuts) => {
      const inflater = createInflater({ peerWindowBits, peerContextTakeover });
      const deflater = createDeflater(peerWindowBits);
      const frames = messages.flatMap(({ payload, cuts }) => {
        const frame = deflater.compress(encodeFrame(Opcode.binary, payload));
        if (cuts.length === 0) return [wireBytes(maskFrame(frame))];
        const [first = 0] = wireBytes(frame);
        const body = wireBytes(frame).subarray(2 + (wireBytes(frame).readUInt8(1) === 126 ? 2 : 0));
        const pieces = split(body, cuts.slice(0, 10));
        return pieces.map((piece, i) =>
          clientFrame(i === 0 ? first & 0x7f : 0x0, piece, { fin: i === pieces.length - 1 }),
        );
      });
      const seen = decode(split(Buffer.concat(frames), cuts), { ...LIMITS, inflater });
      expect(seen).toEqual(messages.map(({ payload }) => seenBinary(payload)));
    }),
    { numRuns: 400 },
  );
});

describe("a message that must not be inflated yet", () => {
  const long = deflateMessage(pattern(1_000));
  function setUp() {
    const asked = { answer: false, times: 0 };
    const mayInflate = (): boolean => {
      asked.times++;
      return asked.answer;
    };
    return { asked, decoder: new Decoder({ ...compressed(), mayInflate }) };
  }

  it("waits, with all that follows it, until inflating is allowed", () => {
    const { asked, decoder } = setUp();
    decoder.feed(Buffer.concat([text("before"), clientFrame(0x42, long), text("after")]));
    expect(decoder.next()).toMatchObject({ kind: "message", text: "before" });
    expect([decoder.inflationWaits, asked.times]).toEqual([false, 0]);
    for (const times of [1, 2]) {
      expect(decoder.next()).toBeUndefined();
      expect([decoder.inflationWaits, decoder.hasMore, asked.times]).toEqual([true, true, times]);
    }
    decoder.feed(text("later"));
    expect(decoder.next()).toBeUndefined();
    asked.answer = true;
    const message = decoder.next();
    if (message?.kind !== "message") return expect.fail("no message");
    expect(message.bytes).toEqual(pattern(1_000));
    expect([decoder.next(), decoder.next()]).toMatchObject([{ text: "after" }, { text: "later" }]);
    expect([decoder.next(), decoder.inflationWaits, decoder.hasMore]).toEqual([undefined, false, false]);
  });

  it("waits when it came in fragments and nothing follows it", () => {
    const { asked, decoder } = setUp();
    const fragments = [clientFrame(0x42, long.subarray(0, 9), { fin: false }), continuation(long.subarray(9))];
    expect(feed(decoder, Buffer.concat(fragments))).toEqual([]);
    expect([decoder.inflationWaits, decoder.hasMore]).toEqual([true, true]);
    asked.answer = true;
    expect(decoder.next()).toMatchObject({ kind: "message", byteLength: 1_000 });
  });

  it("doesn't wait when it is short, whatever it inflates to", () => {
    const { asked, decoder } = setUp();
    const short = deflateBomb(32 * 1024);
    expect(short.length).toBeLessThan(64);
    expect(feed(decoder, clientFrame(0x42, short))).toMatchObject([{ kind: "message", byteLength: 32 * 1024 }]);
    expect(asked.times).toBe(0);
  });

  it("doesn't wait when it isn't compressed, or when its header is a violation", () => {
    const { decoder } = setUp();
    const [message] = feed(decoder, clientFrame(0x2, pattern(1_000)));
    expect(message).toMatchObject({ kind: "message" });
    const wrong = [clientFrame(0x42, long, { fin: false }), text("no continuation")];
    expect(feed(decoder, Buffer.concat(wrong))).toMatchObject([{ kind: "violation" }]);
    expect(decoder.inflationWaits).toBe(false);
  });
});
