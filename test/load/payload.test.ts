import { describe, expect, it } from "vitest";
import { Payload } from "../../src/load/payload.ts";
import { Decoder } from "../../src/wire/protocol/decoding/decoder.ts";
import type { Message } from "../../src/wire/protocol/message.ts";

const lengths = [0, 1, 3, 4, 5, 6, 20, 40, 41, 125, 126, 4096, 65_535, 65_536];

function decode(frames: Buffer): Message[] {
  const decoder = new Decoder({ maxPayloadBytes: 1e6, maxFragments: 1 });
  decoder.feed(frames);
  const messages: Message[] = [];
  for (let event = decoder.next(); event !== undefined; event = decoder.next()) {
    if (event.kind !== "message") throw new Error(`a frame is ${event.kind}`);
    messages.push(event);
  }
  return messages;
}

describe.each([true, false])("Payload, as text: %s", (text) => {
  it.each(lengths)("makes frames of %i bytes that a server accepts, and recognises them", (bytes) => {
    const payload = new Payload({ bytes, text }, 3);
    const count = Math.min(3, payload.burst);
    const messages = decode(payload.frames(70, count));
    expect(messages).toHaveLength(count);
    for (const [i, message] of messages.entries()) {
      expect(message.byteLength).toBe(bytes);
      expect(message.type).toBe(text ? "text" : "binary");
      expect(payload.counter(message.bytes, 0)).toBe((70 + i) % payload.modulus);
      expect(payload.matches(message.bytes, 0)).toBe(true);
    }
  });

  it.each(lengths.filter((bytes) => bytes > 4))("notices that the last of %i bytes is wrong", (bytes) => {
    const payload = new Payload({ bytes, text }, 1);
    const [message] = decode(payload.frames(0, 1));
    const changed = Buffer.from(message?.bytes ?? []);
    changed[bytes - 1] = (changed[bytes - 1] ?? 0) ^ 1;
    for (let i = 0; i < 20; i++) expect(payload.matches(changed, 0)).toBe(false);
  });

  it("notices by sampling that a byte in the middle of a long payload is wrong", () => {
    const payload = new Payload({ bytes: 5000, text }, 1);
    const [message] = decode(payload.frames(0, 1));
    const changed = Buffer.from(message?.bytes ?? []);
    changed[2500] = (changed[2500] ?? 0) ^ 1;
    const seen = Array.from({ length: 16 }, () => payload.matches(changed, 0));
    expect(seen).toContain(false);
  });

  it("names the publisher, beside the counter", () => {
    const payload = new Payload({ bytes: 6, text }, 4);
    const messages = decode(payload.published(4095, 2 ** 24 - 1, 2));
    expect(messages.map(({ bytes }) => payload.sender(bytes, 0))).toEqual([4095, 4095]);
    expect(messages.map(({ bytes }) => payload.counter(bytes, 0))).toEqual([2 ** 24 - 1, 0]);
    expect(messages.every(({ bytes }) => payload.matchesPublished(bytes, 0))).toBe(true);
  });

  it("leaves kept frames unchanged", () => {
    const payload = new Payload({ bytes: 20, text }, 2);
    const kept = payload.frames(1, 2);
    payload.keep();
    payload.frames(50, 2);
    expect(decode(kept).map(({ bytes }) => payload.counter(bytes, 0))).toEqual([1, 2]);
    expect(decode(payload.frames(50, 2)).map(({ bytes }) => payload.counter(bytes, 0))).toEqual([50, 51]);
  });
});

it("finds no counter in other characters", () => {
  const payload = new Payload({ bytes: 20, text: true }, 1);
  expect(payload.counter(Buffer.from("00/0"), 0)).toBe(-1);
  expect(payload.counter(Buffer.from("0p00"), 0)).toBe(-1);
  expect(payload.counter(Buffer.from("00oo"), 0)).toBe(4095);
});
