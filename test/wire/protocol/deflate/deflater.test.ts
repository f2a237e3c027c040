import { inflateRawSync } from "node:zlib";
import { describe, expect, it, vi } from "vitest";
import { DEFAULT_COMPRESSION } from "../../../../src/wire/protocol/deflate/compression.ts";
import { Deflater, Deflaters } from "../../../../src/wire/protocol/deflate/deflater.ts";
import { encodeClose, encodeFrame, encodeText, type Frame } from "../../../../src/wire/protocol/frame.ts";
import { Opcode } from "../../../../src/wire/protocol/opcode.ts";
import { parseServerFrame } from "../../../support/frames.ts";
import { pattern, wireBytes } from "../decoding/decoding.ts";
import { createDeflater, createInflater } from "./deflating.ts";

/** Bytes without repetition. */
function noise(length: number): Buffer {
  let state = 7;
  return Buffer.from(
    Array.from({ length }, () => {
      state = (state * 48_271) % 0x7fff_ffff;
      return state >> 8;
    }),
  );
}

function parse(frame: Frame): { opcode: number; payload: Buffer } {
  const { frame: parsed, rest } = parseServerFrame(wireBytes(frame)) ?? expect.fail("no whole frame");
  expect(rest).toHaveLength(0);
  return parsed;
}

const letters = (length: number): string => "all work and no play ".repeat(Math.ceil(length / 21)).slice(0, length);

it.each([125, 126, 1_000, 65_535, 65_536, 131_072])("restores %i bytes of text and of binary", (length) => {
  for (const [frame, opcode] of [
    [encodeText(letters(length)), 0x41],
    [encodeFrame(Opcode.binary, Buffer.from(letters(length))), 0x42],
  ] as const) {
    const sent = parse(createDeflater().compress(frame));
    expect(sent.opcode).toBe(opcode);
    expect(sent.payload.length).toBeLessThan(length);
    expect(String(createInflater().inflate(sent.payload, length))).toBe(letters(length));
  }
});

it.each([9, 10, 11, 12, 13, 14, 15])("stays within a window of %i bits", (windowBits) => {
  // The repeated bytes are near enough for every window, for some windows, or for none.
  const payload = Buffer.concat([noise(400), noise(400), pattern(40_000), noise(400)]);
  const frame = createDeflater(windowBits).compress(encodeFrame(Opcode.binary, payload));
  expect(frame.end - frame.start).toBeLessThan(payload.length);
  expect(createInflater({ peerWindowBits: windowBits }).inflate(parse(frame).payload, 50_000)).toEqual(payload);
});

describe("sends uncompressed", () => {
  const at = (threshold: number): Deflater => new Deflater(15, { ...DEFAULT_COMPRESSION, threshold });

  it.each([10, 125, 126, 200, 1024, 65_536])("a payload shorter than a threshold of %i bytes", (threshold) => {
    const shorter = encodeText("a".repeat(threshold - 1));
    expect(at(threshold).compress(shorter)).toBe(shorter);
    expect(parse(at(threshold).compress(encodeText("a".repeat(threshold)))).opcode).toBe(0x41);
  });

  it("a payload that doesn't get shorter", () => {
    for (const frame of [encodeText(""), encodeText("a"), encodeFrame(Opcode.binary, noise(5_000))]) {
      expect(createDeflater().compress(frame)).toBe(frame);
    }
  });

  it("control frames, fragments and frames that are compressed already", () => {
    const compressed = createDeflater().compress(encodeText(letters(5_000)));
    const fragment = encodeText(letters(5_000));
    fragment.block[fragment.start] = 0x01;
    const frames = [
      encodeFrame(Opcode.ping, Buffer.alloc(125)),
      encodeFrame(Opcode.pong, Buffer.alloc(125)),
      encodeFrame(Opcode.continuation, Buffer.alloc(125)),
      encodeClose(1000, "a".repeat(100)),
      fragment,
      compressed,
    ];
    for (const frame of frames) expect(createDeflater().compress(frame)).toBe(frame);
  });

  it("every frame for a window of 8, which zlib doesn't support", () => {
    expect(new Deflaters(DEFAULT_COMPRESSION).get(8)).toBeUndefined();
    expect(new Deflaters(DEFAULT_COMPRESSION).get(9)).toBeDefined();
  });
});

describe("a frame", () => {
  it("is compressed, or found to be incompressible, once for each window", () => {
    const deflaters = new Deflaters(DEFAULT_COMPRESSION);
    for (const frame of [encodeText(letters(5_000)), encodeFrame(Opcode.binary, noise(5_000))]) {
      const first = deflaters.get(15)?.compress(frame);
      const subarray = vi.spyOn(frame.block, "subarray");
      expect(deflaters.get(15)?.compress(frame)).toBe(first);
      // Compression begins with a look at the payload.
      expect(subarray).not.toHaveBeenCalled();
      deflaters.get(10)?.compress(frame);
      expect(subarray).toHaveBeenCalledTimes(1);
      subarray.mockRestore();
    }
  });

  it("is compressed to the same bytes, whatever was compressed before", () => {
    const deflater = createDeflater();
    const alone = wireBytes(createDeflater().compress(encodeText(letters(5_000))));
    deflater.compress(encodeText(letters(4_000)));
    expect(wireBytes(deflater.compress(encodeText(letters(5_000))))).toEqual(alone);
  });
});

it("ends a payload with a flush, without the flush's last four bytes", () => {
  const { payload } = parse(createDeflater().compress(encodeText(letters(300))));
  const whole = Buffer.concat([payload, Buffer.from([0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff])]);
  expect(String(inflateRawSync(whole))).toBe(letters(300));
});
