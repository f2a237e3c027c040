import fc from "fast-check";
import { describe, expect, it, onTestFinished } from "vitest";
import { Decoder, type DecoderEvent } from "../../../../src/wire/protocol/decoding/decoder.ts";
import { readFrameRun } from "../../../../src/wire/protocol/decoding/frame-run.ts";
import { createVectorMemory, keepInput } from "../../../../src/wire/protocol/masking/vectors.ts";
import { Message } from "../../../../src/wire/protocol/message.ts";
import { binary, clientFrame, ping, text } from "../../../support/frames.ts";
import { describeEvent, drain, LIMITS, type Seen, seenText } from "./decoding.ts";

const key = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => Buffer.from(bytes));
const short = fc
  .record({
    first: fc.constantFrom(0x81, 0x82),
    payload: fc.oneof(
      fc.string({ maxLength: 125 }).map((string) => Buffer.from(string)),
      fc.uint8Array({ maxLength: 125 }),
    ),
    key,
  })
  .map(({ first, payload, key }) => clientFrame(first & 0xf, payload.subarray(0, 125), { key }));
/** Frames at which a run ends: longer, control, fragments, wrong bits, without a mask, half. */
const odd = fc.constantFrom(
  text("é is not ASCII"),
  binary(Buffer.alloc(126, 1)),
  binary(Buffer.alloc(300, 2)),
  ping("ping"),
  Buffer.concat([text("in two ", { fin: false }), clientFrame(0x0, "pieces")]),
  clientFrame(0x41, "compressed"),
  Buffer.of(0x82, 0x01, 0x61),
  clientFrame(0x3, "reserved"),
  clientFrame(0x8, Buffer.of(0x03, 0xe8)),
);
const frames = fc.array(fc.oneof({ weight: 12, arbitrary: short }, { weight: 1, arbitrary: odd }), { maxLength: 700 });

/** The events, when the decoder gets one frame at a time and so has no runs. */
function oneByOne(all: readonly Buffer[]): Seen[] {
  const decoder = new Decoder(LIMITS);
  const events: DecoderEvent[] = [];
  for (const frame of all) {
    decoder.feed(frame);
    events.push(...drain(decoder));
  }
  return events.map(describeEvent);
}

/** Lets the input come from memory in which vectors work. Returns a part of it with the bytes. */
function input(bytes: Buffer, offset: number): Buffer {
  const vectors = createVectorMemory(bytes.length + offset);
  if (vectors === undefined) throw new Error("this Node has no vectors");
  keepInput(vectors.buffer, vectors);
  vectors.bytes.set(bytes, offset);
  return vectors.bytes.subarray(offset, offset + bytes.length);
}

describe.each([
  ["that is copied to the vectors", (bytes: Buffer) => Buffer.from(bytes)],
  ["in the memory of the vectors", (bytes: Buffer) => input(bytes, 77)],
])("a run of short frames, from input %s", (_, place) => {
  const end = (): void => keepInput(new ArrayBuffer(0));

  it("gives the events that the frames give one by one", () => {
    onTestFinished(end);
    fc.assert(
      fc.property(frames, fc.nat({ max: 200 }), (all, cut) => {
        const bytes = Buffer.concat(all);
        const decoder = new Decoder(LIMITS);
        const events: DecoderEvent[] = [];
        // The end of the first part, and so the begin of the second, lies somewhere in a frame.
        for (const part of [bytes.subarray(0, bytes.length - cut), bytes.subarray(bytes.length - cut)]) {
          const placed = place(part);
          decoder.feed(placed);
          events.push(...drain(decoder));
          placed.fill(0xdd);
        }
        expect(events.map(describeEvent)).toEqual(oneByOne(all));
      }),
      { numRuns: 60 },
    );
  });

  it("goes on after a suspension, and in another decoder, wherever it is", () => {
    onTestFinished(end);
    const texts = Array.from({ length: 40 }, (_, i) => `message ${i}`);
    const all = Buffer.concat(texts.map((string) => text(string)));
    for (let taken = 0; taken <= texts.length; taken++) {
      const placed = place(all);
      const first = new Decoder(LIMITS);
      first.feed(placed);
      const events = Array.from({ length: taken }, () => first.next() as DecoderEvent);
      expect(first.hasMore).toBe(taken < texts.length);
      first.suspend();
      placed.fill(0xdd);
      const second = new Decoder(LIMITS);
      second.load(structuredClone(first.save()));
      expect(first.hasMore).toBe(false);
      second.feed(text("after it"));
      events.push(...drain(second));
      expect(events.map(describeEvent)).toEqual([...texts, "after it"].map((string) => seenText(string)));
    }
  });

  it("leaves its source as it is", () => {
    onTestFinished(end);
    const all = Buffer.concat([text("one"), text("two"), ping("three")]);
    const placed = place(all);
    const run = readFrameRun(placed, 0);
    expect(run?.readBytes).toBe(text("one").length * 2);
    expect(run?.take().text).toBe("one");
    expect(placed.equals(all)).toBe(true);
  });
});

it("is none for fewer than two frames", () => {
  expect(readFrameRun(text("one"), 0)).toBeUndefined();
  expect(readFrameRun(Buffer.concat([text("one"), ping("two")]), 0)).toBeUndefined();
  expect(readFrameRun(Buffer.concat([text("one"), text("two").subarray(0, -1)]), 0)).toBeUndefined();
});

it("keeps little memory while it waits", () => {
  const decoder = new Decoder(LIMITS);
  decoder.feed(Buffer.concat(Array.from({ length: 50 }, (_, i) => text(`${i}`))));
  decoder.next();
  decoder.suspend();
  const message = decoder.next();
  if (!(message instanceof Message)) throw new Error("expected a message");
  expect(message.block.buffer.byteLength).toBeLessThan(300);
});

it("is none where a message must be shorter than its frames may be", () => {
  const decoder = new Decoder({ ...LIMITS, maxPayloadBytes: 3 });
  decoder.feed(Buffer.concat([text("one"), text("two"), text("three")]));
  expect(drain(decoder).map(describeEvent)).toMatchObject([
    seenText("one"),
    seenText("two"),
    { kind: "violation", code: "ERR_MESSAGE_TOO_BIG" },
  ]);
});
