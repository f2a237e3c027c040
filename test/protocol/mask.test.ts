import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readKey, unmask } from "../../src/protocol/mask.ts";
import { pattern } from "./decoding.ts";

const KEY = Uint8Array.of(0x12, 0xf4, 0x56, 0x9a);
const UNTOUCHED = 0xee;

/** The definition, RFC 6455 section 5.3. */
function masked(bytes: Uint8Array, key: Uint8Array, phase: number): Buffer {
  return Buffer.from(bytes.map((byte, i) => byte ^ (key[(phase + i) % 4] ?? 0)));
}

function target(size: number): Buffer {
  const block = Buffer.allocUnsafeSlow(size);
  block.fill(UNTOUCHED);
  return block;
}

/** Unmasks into the middle of a larger block and returns that block and the verdict. */
function run(payload: Uint8Array, { from = 0, at = 0, key = KEY, phase = 0, block = target(at + payload.length + 9) }) {
  const source = Buffer.concat([Buffer.alloc(from, 0x77), payload, Buffer.alloc(3, 0x77)]);
  const ascii = unmask(source, from, block, at, payload.length, readKey(key, 0), phase);
  return { block, ascii };
}

describe("unmask", () => {
  it("gives the bytes of the RFC's example", () => {
    const { block } = run(Uint8Array.of(0x7f, 0x9f, 0x4d, 0x51, 0x58), { key: Uint8Array.of(0x37, 0xfa, 0x21, 0x3d) });
    expect(block.toString("latin1", 0, 5)).toBe("Hello");
  });

  it("XORs every length at every alignment and phase, and touches nothing around", () => {
    const lengths = Array.from({ length: 100 }, (_, i) => i);
    for (const length of [...lengths, 198, 199, 200, 201, 202, 203, 204, 205, 207, 1000]) {
      const payload = pattern(length);
      for (let at = 0; at < 5; at++) {
        for (let phase = 0; phase < 4; phase++) {
          const { block } = run(payload, { from: (at * 3 + phase) % 5, at, phase });
          const expected = Buffer.concat([
            Buffer.alloc(at, UNTOUCHED),
            masked(payload, KEY, phase),
            Buffer.alloc(9, UNTOUCHED),
          ]);
          if (!block.equals(expected)) expect.fail(`wrong for length ${length}, at ${at}, phase ${phase}`);
        }
      }
    }
  });

  it.each([65_535, 65_536, 65_537, 200_003])("XORs %i bytes", (length) => {
    const payload = pattern(length);
    const { block } = run(payload, { at: 10 });
    expect(block.subarray(10, 10 + length).equals(masked(payload, KEY, 0))).toBe(true);
  });

  it("keeps targets apart when they alternate", () => {
    const blocks = [target(256), target(256), target(100_000)];
    for (let round = 0; round < 3; round++) {
      for (const [i, block] of blocks.entries()) {
        const payload = Buffer.alloc(60, i + 1);
        run(payload, { at: 64 * round, block });
        expect(block.subarray(64 * round, 64 * round + 60)).toEqual(masked(payload, KEY, 0));
      }
    }
  });

  it("leaves the source as it was", () => {
    const source = pattern(80);
    unmask(source, 0, target(80), 0, 80, readKey(KEY, 0), 0);
    expect(source).toEqual(pattern(80));
  });

  it("never takes bytes for ASCII that aren't", () => {
    for (let length = 1; length <= 60; length++) {
      for (let odd = 0; odd < length; odd++) {
        const plain = Buffer.alloc(length, "a");
        plain[odd] = 0x80;
        const { ascii } = run(masked(plain, KEY, 0), {});
        if (ascii) expect.fail(`took byte ${odd} of ${length} for ASCII`);
      }
    }
  });

  it("sees that a short text is ASCII", () => {
    expect(run(masked(Buffer.from("hello \u007f"), KEY, 0), {}).ascii).toBe(true);
    expect(run(new Uint8Array(0), {}).ascii).toBe(true);
  });

  it("gives the same bytes for a payload in two pieces as for one", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.uint8Array({ minLength: 4, maxLength: 4 }),
        fc.nat({ max: 300 }),
        fc.nat({ max: 13 }),
        (payload, key, cut, at) => {
          const middle = Math.min(cut, payload.length);
          const block = target(at + payload.length);
          const source = Buffer.from(payload);
          unmask(source, 0, block, at, middle, readKey(key, 0), 0);
          unmask(source, middle, block, at + middle, payload.length - middle, readKey(key, 0), middle);
          expect(block.subarray(at).equals(masked(payload, key, 0))).toBe(true);
        },
      ),
    );
  });
});
