import { deserialize, serialize } from "node:v8";
import fc from "fast-check";
import { expect, it } from "vitest";
import { Decoder, type DecoderEvent, type DecoderOptions } from "../../../../src/wire/protocol/decoding/decoder.ts";
import { deflateMessage } from "../../../support/deflate.ts";
import { clientFrame, ping, text } from "../../../support/frames.ts";
import { compressed } from "../deflate/deflating.ts";
import { describeEvent, drain, feed, pattern, type Seen, seenBinary, seenPing, seenText } from "./decoding.ts";
import { cuts, SESSION_LIMITS, session, split } from "./sessions.ts";

/** Decodes chunks, each but the first with a decoder that goes on where the one before was saved. */
function decodeMoving(chunks: readonly Buffer[], options: () => DecoderOptions): Seen[] {
  let decoder = new Decoder(options());
  const events: DecoderEvent[] = [];
  for (const chunk of chunks) {
    events.push(...feed(decoder, chunk));
    if (events.some(({ kind }) => kind === "close" || kind === "violation")) break;
    const state = deserialize(serialize(decoder.save()));
    decoder = new Decoder(options());
    decoder.load(state);
    events.push(...drain(decoder));
  }
  return events.map(describeEvent);
}

it("goes on in another decoder wherever the stream is cut", () => {
  fc.assert(
    fc.property(session, cuts, ({ frames, events }, cuts) => {
      expect(decodeMoving(split(Buffer.concat(frames), cuts), () => SESSION_LIMITS)).toEqual(events);
    }),
    { numRuns: 150 },
  );
});

it("takes the peer's window along, at each byte of three messages that refer to each other", () => {
  const [a, b] = [pattern(3_000), Buffer.concat([pattern(3_000), Buffer.from("and more")])];
  const frames = [
    clientFrame(0x42, deflateMessage(a)),
    ping("between"),
    clientFrame(0x42, deflateMessage(b, a)),
    clientFrame(0x42, deflateMessage(a, Buffer.concat([a, b]))),
  ];
  const bytes = Buffer.concat(frames);
  const expected = [seenBinary(a), seenPing("between"), seenBinary(b), seenBinary(a)];
  for (let at = 1; at < bytes.length; at += 3) {
    const options = () => compressed({ peerContextTakeover: true, peerWindowBits: 15 });
    expect(decodeMoving([bytes.subarray(0, at), bytes.subarray(at)], options)).toEqual(expected);
  }
});

it("takes a complete message along that waits to be inflated", () => {
  const payload = pattern(100_000);
  const decoder = new Decoder({ ...compressed(), mayInflate: () => false });
  expect(feed(decoder, Buffer.concat([clientFrame(0x42, deflateMessage(payload)), text("next")]))).toEqual([]);
  expect(decoder.inflationWaits).toBe(true);
  const next = new Decoder(compressed());
  next.load(decoder.save());
  expect(next.inflationWaits).toBe(true);
  expect(drain(next).map(describeEvent)).toEqual([seenBinary(payload), seenText("next")]);
});

it("owns its bytes: the memory of the state may be written over", () => {
  const bytes = Buffer.concat([text("whole"), text("é".repeat(40), { fin: false })]);
  const decoder = new Decoder(SESSION_LIMITS);
  feed(decoder, bytes.subarray(0, bytes.length - 1));
  const saved = serialize(decoder.save());
  const next = new Decoder(SESSION_LIMITS);
  next.load(deserialize(saved));
  saved.fill(0);
  const rest = Buffer.concat([bytes.subarray(-1), clientFrame(0x0, "!")]);
  expect(feed(next, rest).map(describeEvent)).toEqual([seenText(`${"é".repeat(40)}!`)]);
});
