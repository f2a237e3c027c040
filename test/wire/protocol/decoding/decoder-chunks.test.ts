import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { Decoder, type DecoderEvent } from "../../../../src/wire/protocol/decoding/decoder.ts";
import { ping, text } from "../../../support/frames.ts";
import { decode, decodeBytewise, describeEvent, drain, feed, LIMITS, type Seen } from "./decoding.ts";
import { cuts, SESSION_LIMITS, session, split } from "./sessions.ts";

type Step = "take all" | "take one and suspend" | "suspend at once" | "only feed";

const steps = fc.array(fc.constantFrom<Step>("take all", "take one and suspend", "suspend at once", "only feed"), {
  minLength: 1,
  maxLength: 8,
});

/** Feeds the chunks and does one of the steps after each. Overwrites every chunk as soon as it is given back. */
function decodeInSteps(chunks: readonly Buffer[], steps: readonly Step[]): Seen[] {
  const decoder = new Decoder(SESSION_LIMITS);
  const events: DecoderEvent[] = [];
  for (const [i, chunk] of chunks.entries()) {
    const borrowed = Buffer.from(chunk);
    decoder.feed(borrowed);
    const step = steps[i % steps.length];
    if (step === "only feed") continue;
    if (step === "take all") events.push(...drain(decoder));
    if (step === "take one and suspend") {
      const event = decoder.next();
      if (event !== undefined) events.push(event);
    }
    if (step !== "take all") decoder.suspend();
    borrowed.fill(0xaa);
  }
  return [...events, ...drain(decoder)].map(describeEvent);
}

describe("any stream of frames", () => {
  it("decodes to the events that it was made of", () => {
    fc.assert(
      fc.property(session, ({ frames, events }) => {
        expect(decode([Buffer.concat(frames)], SESSION_LIMITS)).toEqual(events);
      }),
      { numRuns: 500 },
    );
  });

  it("gives the same events in any chunks", () => {
    fc.assert(
      fc.property(session, cuts, ({ frames, events }, cuts) => {
        expect(decode(split(Buffer.concat(frames), cuts), SESSION_LIMITS)).toEqual(events);
      }),
      { numRuns: 500 },
    );
  });

  it("gives the same events byte by byte", () => {
    fc.assert(
      fc.property(session, ({ frames, events }) => {
        expect(decodeBytewise(Buffer.concat(frames), SESSION_LIMITS)).toEqual(events);
      }),
      { numRuns: 60 },
    );
  });

  it("gives the same events when decoding is suspended at any point and when chunks pile up", () => {
    fc.assert(
      fc.property(session, cuts, steps, ({ frames, events }, cuts, steps) => {
        expect(decodeInSteps(split(Buffer.concat(frames), cuts), steps)).toEqual(events);
      }),
      { numRuns: 500 },
    );
  });

  it("gives the same events in any chunks when its bytes are random", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), cuts, (bytes, cuts) => {
        const whole = decode([Buffer.from(bytes)], SESSION_LIMITS);
        expect(decode(split(Buffer.from(bytes), cuts), SESSION_LIMITS)).toEqual(whole);
        expect(decodeBytewise(Buffer.from(bytes), SESSION_LIMITS)).toEqual(whole);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("suspend", () => {
  it("keeps the second event of a chunk when the chunk is overwritten after the first", () => {
    const decoder = new Decoder(LIMITS);
    const chunk = Buffer.concat([text("one"), text("two"), ping("three").subarray(0, 4)]);
    decoder.feed(chunk);
    const first = decoder.next();
    decoder.suspend();
    chunk.fill(0);
    const rest = [...drain(decoder), ...feed(decoder, ping("three").subarray(4))];
    expect([first, ...rest].map((event) => event && describeEvent(event))).toEqual([
      { kind: "text", payload: Buffer.from("one").toString("hex") },
      { kind: "text", payload: Buffer.from("two").toString("hex") },
      { kind: "ping", payload: Buffer.from("three").toString("hex") },
    ]);
  });

  it("changes nothing when no bytes are left or when it is called twice", () => {
    const decoder = new Decoder(LIMITS);
    decoder.suspend();
    decoder.feed(text("one"));
    decoder.suspend();
    decoder.suspend();
    expect(drain(decoder)).toHaveLength(1);
    decoder.suspend();
    expect(drain(decoder)).toEqual([]);
  });
});

describe("a chunk that is read in small steps", () => {
  const all = Buffer.concat(Array.from({ length: 1_000 }, (_, i) => text(`${i}`)));

  it("is copied when decoding is first suspended, and not at each step", () => {
    const decoder = new Decoder(LIMITS);
    decoder.feed(all);
    const allocating = vi.spyOn(Buffer, "allocUnsafeSlow");
    const texts: string[] = [];
    for (let event = decoder.next(); event !== undefined; event = decoder.next()) {
      if (event.kind === "message") texts.push(event.text);
      decoder.suspend();
    }
    const copied = allocating.mock.calls.reduce((sum, [bytes]) => sum + bytes, 0);
    allocating.mockRestore();
    expect(texts).toEqual(Array.from({ length: 1_000 }, (_, i) => `${i}`));
    // One copy at the first suspend, and one more each time that half of the rest has been read: less than twice the
    // bytes. The same again for the messages of each run, and the block of 64 KiB to which runs are written.
    expect(copied).toBeGreaterThan(0);
    expect(copied).toBeLessThanOrEqual(4 * all.length + 64 * 1024);
  });
});
