import { describe, expect, it, onTestFinished, vi } from "vitest";
import { Assembly } from "../../../../src/wire/protocol/decoding/assembly.ts";
import { readKey } from "../../../../src/wire/protocol/masking/mask.ts";
import { Opcode } from "../../../../src/wire/protocol/opcode.ts";
import { pattern } from "./decoding.ts";

const KEY = Uint8Array.of(0x37, 0xfa, 0x21, 0x3d);

function masked(payload: Uint8Array): Buffer {
  return Buffer.from(payload.map((byte, i) => byte ^ (KEY[i & 3] ?? 0)));
}

/** Appends one frame's payload in pieces of `step` bytes. */
function appendFrame(assembly: Assembly, payload: Uint8Array, step = payload.length || 1): boolean {
  const bytes = masked(payload);
  for (let at = 0; at < bytes.length; at += step) {
    const length = Math.min(step, bytes.length - at);
    if (!assembly.append(bytes, at, length, bytes.length - at, readKey(KEY, 0), at)) return false;
  }
  return true;
}

describe("Assembly", () => {
  it.each([0, 1, 125, 126, 4_086, 4_087, 65_535, 65_536, 300_001])("joins %i bytes from pieces", (length) => {
    for (const step of [7, 1_000, 65_536]) {
      const assembly = new Assembly(Opcode.binary);
      expect(appendFrame(assembly, pattern(length), step)).toBe(true);
      expect(assembly.payloadBytes).toBe(length);
      const message = assembly.finish();
      expect(message?.type).toBe("binary");
      expect(message?.bytes.equals(pattern(length))).toBe(true);
    }
  });

  it("joins frames, each unmasked from its key's first byte on", () => {
    const assembly = new Assembly(Opcode.text);
    for (const part of ["Hel", "", "lo, wörld ", "€"]) appendFrame(assembly, Buffer.from(part));
    expect(assembly.finish()?.text).toBe("Hello, wörld €");
  });

  it("makes an empty message of no bytes", () => {
    const message = new Assembly(Opcode.text).finish();
    expect(message).toMatchObject({ type: "text", byteLength: 0, text: "" });
  });

  it("rejects a text as soon as it can no longer become valid", () => {
    const assembly = new Assembly(Opcode.text);
    expect(appendFrame(assembly, Buffer.from([0x61, 0xe2, 0x82]))).toBe(true);
    expect(appendFrame(assembly, Buffer.from([0x28]))).toBe(false);
  });

  it("gives no message when a text ends inside a character", () => {
    const assembly = new Assembly(Opcode.text);
    expect(appendFrame(assembly, Buffer.from([0x61, 0xe2, 0x82]))).toBe(true);
    expect(assembly.finish()).toBeUndefined();
  });

  it("doesn't validate a binary message", () => {
    const assembly = new Assembly(Opcode.binary);
    expect(appendFrame(assembly, Buffer.from([0xff, 0xe2]))).toBe(true);
    expect(assembly.finish()?.bytes).toEqual(Buffer.from([0xff, 0xe2]));
  });

  it("allocates memory for the bytes that have arrived, not for those that were announced", () => {
    const allocated = vi.spyOn(Buffer, "allocUnsafeSlow");
    const assembly = new Assembly(Opcode.binary);
    const announced = 1024 ** 3;
    assembly.append(pattern(10), 0, 10, announced, readKey(KEY, 0), 0);
    assembly.append(pattern(10_000), 0, 10_000, announced - 10, readKey(KEY, 0), 10);
    const sizes = allocated.mock.calls.map(([size]) => size);
    allocated.mockRestore();
    expect(Math.max(...sizes)).toBeLessThan(30_000);
  });

  it.each([0, 1, 100, 1_000])("has little more memory than the %i bytes that have arrived", (length) => {
    const allocating = vi.spyOn(Buffer, "allocUnsafeSlow");
    onTestFinished(() => allocating.mockRestore());
    for (const announced of [length, length + 1_000_000, Number.POSITIVE_INFINITY]) {
      const assembly = new Assembly(Opcode.binary);
      allocating.mockClear();
      assembly.append(Buffer.alloc(length), 0, length, announced, readKey(KEY, 0), 0);
      for (const [bytes] of allocating.mock.calls) expect(bytes).toBeLessThanOrEqual(2 * length + 128);
    }
  });
});
