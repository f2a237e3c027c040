import fc from "fast-check";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import * as mask from "../../../../src/wire/protocol/masking/mask.ts";
import { createVectorMemory, keepInput } from "../../../../src/wire/protocol/masking/vectors.ts";
import { pattern } from "../decoding/decoding.ts";

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

async function withoutWebAssembly(): Promise<typeof mask> {
  vi.stubGlobal("WebAssembly", undefined);
  vi.resetModules();
  try {
    return await import("../../../../src/wire/protocol/masking/mask.ts");
  } finally {
    vi.unstubAllGlobals();
  }
}

describe.each([
  ["with vectors", mask],
  ["without WebAssembly", await withoutWebAssembly()],
])("unmask, %s", (_, { readKey, unmask, unmaskInPlace }) => {
  /** Unmasks into the middle of a larger block and returns that block and the verdict. */
  function run(
    payload: Uint8Array,
    { from = 0, at = 0, key = KEY, phase = 0, block = target(at + payload.length + 9) },
  ): { block: Buffer; ascii: boolean } {
    const source = Buffer.concat([Buffer.alloc(from, 0x77), payload, Buffer.alloc(3, 0x77)]);
    const ascii = unmask(source, from, block, at, payload.length, readKey(key, 0), phase);
    return { block, ascii };
  }

  it("unmasks the RFC's example", () => {
    const { block } = run(Uint8Array.of(0x7f, 0x9f, 0x4d, 0x51, 0x58), { key: Uint8Array.of(0x37, 0xfa, 0x21, 0x3d) });
    expect(block.toString("latin1", 0, 5)).toBe("Hello");
  });

  it("XORs every length at every alignment and phase, and writes no byte around the target", () => {
    const lengths = Array.from({ length: 100 }, (_, i) => i);
    for (const length of [...lengths, 254, 255, 256, 257, 258, 259, 260, 319, 320, 321, 1000, 16_384, 16_385, 16_448]) {
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

  it.each([80, 5_000])("leaves a source of %i bytes unchanged", (length) => {
    const source = pattern(length);
    unmask(source, 0, target(length), 0, length, readKey(KEY, 0), 0);
    expect(source).toEqual(pattern(length));
  });

  it.each([0, 80, 5_000])("copies %i bytes without a key", (length) => {
    const { block } = run(pattern(length), { key: Buffer.alloc(4), at: 3 });
    expect(block.subarray(3, 3 + length)).toEqual(pattern(length));
  });

  it("never reports ASCII when a byte isn't, wherever that byte is", () => {
    for (const length of [...Array.from({ length: 60 }, (_, i) => i + 1), 256, 300, 16_384 + 64 + 3]) {
      const plain = Buffer.alloc(length, "a");
      for (let odd = 0; odd < length; odd += length < 1_000 ? 1 : 61) {
        plain[odd] = 0x80;
        const { ascii } = run(masked(plain, KEY, 0), {});
        if (ascii) expect.fail(`took byte ${odd} of ${length} for ASCII`);
        plain[odd] = 0x61;
      }
    }
  });

  it.each([0, 8, 300, 20_001])("reports that a text of %i bytes is ASCII", (length) => {
    expect(run(masked(Buffer.alloc(length, "\u007f"), KEY, 0), {}).ascii).toBe(true);
  });

  it.each([64, 100, 1_024, 4_095, 16_384, 70_001])(
    "unmasks %i bytes where they are, and no byte around them",
    (length) => {
      const plain = Buffer.alloc(length, "text");
      for (const from of [0, 1, 70]) {
        const memory = target(from + length + 5);
        const bytes = memory.subarray(0, from + length + 5);
        bytes.set(masked(plain, KEY, 0), from);
        expect(unmaskInPlace(bytes, from, length, readKey(KEY, 0))).toBe(true);
        expect(bytes.subarray(from, from + length).equals(plain)).toBe(true);
        expect([...bytes.subarray(0, from), ...bytes.subarray(from + length)].every((byte) => byte === UNTOUCHED)).toBe(
          true,
        );
      }
      plain[length - 1] = 0xe4;
      const bytes = masked(plain, KEY, 0);
      expect(unmaskInPlace(bytes, 0, length, readKey(KEY, 0))).toBe(false);
      expect(bytes.equals(plain)).toBe(true);
    },
  );

  it("gives the same bytes for a payload in two pieces and in one", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 800 }),
        fc.uint8Array({ minLength: 4, maxLength: 4 }),
        fc.nat({ max: 800 }),
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

it("unmasks from kept memory, large memory and small memory in turns", () => {
  const { readKey, unmask } = mask;
  const kept = new ArrayBuffer(256 * 1024);
  keepInput(kept);
  const payload = Buffer.from("the payload of a short frame");
  const sources = [
    Buffer.from(kept, 0, 100),
    Buffer.from(new ArrayBuffer(256 * 1024), 0, 100),
    Buffer.from(kept, 70_000, 100),
    Buffer.from(new ArrayBuffer(1_000), 500, 100),
    Buffer.from(kept, 0, 100),
    Buffer.from(new ArrayBuffer(1_000), 0, 100),
  ];
  for (const source of sources) {
    masked(payload, KEY, 0).copy(source, 7);
    const block = target(200);
    unmask(source, 7, block, 3, payload.length, readKey(KEY, 0), 0);
    expect(block.subarray(3, 3 + payload.length).toString()).toBe(payload.toString());
  }
});

it("unmasks long payloads in the memory of the input, and all others by a copy", () => {
  const vectors = createVectorMemory(300_000);
  if (vectors === undefined) throw new Error("this Node has no vectors");
  const { readKey, unmask, unmaskInPlace } = mask;
  keepInput(vectors.buffer, vectors);
  onTestFinished(() => keepInput(new ArrayBuffer(0)));
  const key = readKey(KEY, 0);
  for (const length of [255, 256, 300, 4_096, 16_384, 20_000, 100_001]) {
    for (const begin of [0, 70_003]) {
      const input = Buffer.from(vectors.buffer, begin, length + 20);
      const elsewhere = Buffer.alloc(length + 20);
      const expected = Buffer.concat([Buffer.alloc(3, UNTOUCHED), pattern(length), Buffer.alloc(2, UNTOUCHED)]);
      for (const source of [input, elsewhere]) {
        masked(pattern(length), KEY, 1).copy(source, 7);
        const block = target(length + 5);
        unmask(source, 7, block, 3, length, key, 1);
        expect(block.equals(expected)).toBe(true);
      }
      // What isn't in the memory of the input may be somebody's message, and stays as it is.
      expect(elsewhere.subarray(7, 7 + length).equals(masked(pattern(length), KEY, 1))).toBe(true);
      masked(pattern(length), KEY, 0).copy(input.fill(UNTOUCHED), 7);
      unmaskInPlace(input, 7, length, key);
      expect(input.subarray(7, 7 + length).equals(pattern(length))).toBe(true);
      expect([...input.subarray(0, 7), ...input.subarray(7 + length)].every((byte) => byte === UNTOUCHED)).toBe(true);
    }
  }
});
