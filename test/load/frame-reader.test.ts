import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FrameReader } from "../../src/load/frame-reader.ts";
import { clientFrame } from "../support/frames.ts";

const LIMIT = 100_000;

interface Seen {
  readonly first: number;
  readonly payload: Buffer;
}

function reading(limit = LIMIT): { reader: FrameReader; seen: Seen[] } {
  const seen: Seen[] = [];
  const reader = new FrameReader(limit, (bytes, start, payload, end) => {
    seen.push({ first: bytes.readUInt8(start), payload: Buffer.from(bytes.subarray(payload, end)) });
    return true;
  });
  return { reader, seen };
}

const frame = (payload: Buffer): Buffer => clientFrame(2, payload, { masked: false });

describe("FrameReader", () => {
  it.each([0, 125, 126, 127, 65_535, 65_536])(
    "finds frames of %i bytes, split anywhere near their headers",
    (length) => {
      const one = frame(Buffer.alloc(length, 7));
      const bytes = Buffer.concat([one, one, one]);
      const splits = [...Array(16).keys()].flatMap((i) => [i, one.length + i, one.length - i]);
      for (const split of splits.filter((at) => at >= 0 && at <= bytes.length)) {
        const { reader, seen } = reading();
        expect(reader.read(bytes, 0, split)).toBe(true);
        expect(reader.read(bytes, split, bytes.length)).toBe(true);
        expect(seen.map(({ payload }) => payload.length)).toEqual([length, length, length]);
      }
    },
  );

  it("finds the same frames however the bytes are split into chunks", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 200 })),
        (payloads, cuts) => {
          const bytes = Buffer.concat(payloads.map((payload) => frame(Buffer.from(payload))));
          const { reader, seen } = reading();
          let at = 0;
          for (const cut of [...cuts, bytes.length]) {
            const end = Math.min(bytes.length, at + cut);
            // All chunks use one buffer, so each chunk overwrites the one before.
            const chunk = Buffer.from(bytes.subarray(at, end));
            reader.read(chunk, 0, chunk.length);
            chunk.fill(0xff);
            at = end;
          }
          expect(seen.map(({ payload }) => [...payload])).toEqual(payloads.map((payload) => [...payload]));
        },
      ),
    );
  });

  it("stops at a frame that is too long, before it allocates memory for it", () => {
    const { reader, seen } = reading(1000);
    const head = clientFrame(2, Buffer.alloc(0), { masked: false, lengthBits: 64 });
    head.writeUInt32BE(0x7fff_ffff, 2);
    expect(reader.read(head, 0, head.length)).toBe(false);
    expect(seen).toEqual([]);
  });

  it("stops when its handler returns false", () => {
    const one = frame(Buffer.alloc(3));
    const reader = new FrameReader(LIMIT, () => false);
    expect(reader.read(one, 0, one.length)).toBe(false);
    expect(new FrameReader(LIMIT, () => false).read(one, 0, 1)).toBe(true);
  });
});
