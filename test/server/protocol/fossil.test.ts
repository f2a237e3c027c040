import { isUtf8 } from "node:buffer";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createDelta } from "../../../src/server/protocol/fossil.ts";
import { applyDelta } from "./client-fossil.ts";

/** Bytes that a delta is longer than its target at most. */
const MAX_OVERHEAD_BYTES = 21;

function expectApplies(from: Buffer, to: Buffer): Buffer {
  const delta = createDelta(from, to);
  expect(Buffer.from(applyDelta(from, delta)).equals(to)).toBe(true);
  expect(delta.length).toBeLessThanOrEqual(to.length + MAX_OVERHEAD_BYTES);
  return delta;
}

interface Row {
  readonly id: number;
  readonly name: string;
  readonly price: number;
}

/** A payload as users publish it: about 48 bytes for each row. */
function table(rows: number, price: (row: number) => number): { rows: Row[] } {
  return { rows: Array.from({ length: rows }, (_, id) => ({ id, name: `product ${id}`, price: price(id) })) };
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

describe("createDelta", () => {
  it("writes the format's own example of a copy, an insertion and a checksum", () => {
    // 26 letters, then 10 digits: "A" is 10 in base 64, "Q" is 26, "a" is 36 + 1.
    const from = Buffer.from("abcdefghijklmnopqrstuvwxyz");
    const delta = createDelta(from, Buffer.from("abcdefghijklmnopqrstuvwxyz0123456789"));
    expect(delta.toString()).toMatch(/^_\nQ@0,A:0123456789[0-9A-Za-z_~]+;$/);
  });

  it.each([
    ["nothing from nothing", "", ""],
    ["nothing from something", "abc", ""],
    ["something from nothing", "", "abc"],
    ["the same", "the same text again", "the same text again"],
    ["an end cut off", "the same text again", "the same text"],
    ["a beginning cut off", "the same text again", "text again"],
    ["a repeated character", "aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa"],
    ["halves that change places", "first part, second part", "second partfirst part, "],
  ])("applies: %s", (_, from, to) => {
    expectApplies(Buffer.from(from), Buffer.from(to));
  });

  it("applies for any pair of buffers", () => {
    const bytes = fc.uint8Array({ maxLength: 600 });
    fc.assert(
      fc.property(bytes, bytes, (from, to) => void expectApplies(Buffer.from(from), Buffer.from(to))),
      {
        numRuns: 2_000,
      },
    );
  });

  it("applies for buffers that have pieces in common, in any order, with few different bytes", () => {
    const piece = fc.uint8Array({ maxLength: 40, max: 3 });
    const pieces = fc.array(piece, { minLength: 1, maxLength: 8 });
    const order = fc.array(fc.oneof(fc.nat(7), piece), { maxLength: 20 });
    fc.assert(
      fc.property(pieces, order, (all, parts) => {
        const to = parts.map((part) => (typeof part === "number" ? (all[part % all.length] ?? part) : part));
        expectApplies(Buffer.concat(all), Buffer.concat(to as Uint8Array[]));
      }),
      { numRuns: 2_000 },
    );
  });

  it("keeps valid UTF-8 valid, so that a delta can be a JSON string", () => {
    const text = fc.string({
      unit: fc.constantFrom("a", "é", "è", "語", "誤", "😀", "😁", "0123456789"),
      maxLength: 80,
    });
    fc.assert(
      fc.property(text, text, text, text, (before, old, fresh, after) => {
        const delta = expectApplies(Buffer.from(before + old + after), Buffer.from(before + fresh + after));
        expect(isUtf8(delta)).toBe(true);
        const travelled = Buffer.from(JSON.parse(JSON.stringify(delta.toString())) as string);
        expect(travelled.equals(delta)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it("is short where a value changed, a row came in, or each row changed a little", () => {
    const old = table(80, (id) => id * 10);
    const changed = table(80, (id) => (id === 40 ? 12_345 : id * 10));
    expect(expectApplies(json(old), json(changed)).length).toBeLessThan(40);

    const grown = { rows: old.rows.toSpliced(20, 0, { id: 999, name: "new product", price: 1 }) };
    expect(expectApplies(json(old), json(grown)).length).toBeLessThan(80);

    const all = json(table(80, (id) => id * 10 + 7));
    expect(expectApplies(json(old), all).length).toBeLessThan(all.length / 2);
  });

  it("finds a block that moved in a source too long to be indexed byte by byte", () => {
    const block = Buffer.from(Array.from({ length: 4_096 }, (_, place) => (place * place * 31) >> 3));
    const noise = Buffer.from(Array.from({ length: 200_000 }, (_, place) => (place * 7_919) % 251));
    const from = Buffer.concat([noise, block]);
    const delta = expectApplies(from, Buffer.concat([Buffer.from("now first: "), block, Buffer.from(".")]));
    expect(delta.length).toBeLessThan(200);
  });

  it("applies to large inputs of the worst kinds", () => {
    const size = 1 << 18;
    let seed = 1;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return (seed >>> 16) % below;
    };
    const noise = (letters: number) => Buffer.from(Array.from({ length: size }, () => random(letters)));
    expectApplies(noise(256), noise(256));
    expectApplies(noise(2), noise(2));
    expectApplies(Buffer.alloc(size, "abcdefgh0"), Buffer.alloc(size, "abcdefgh1"));
    expectApplies(Buffer.alloc(size, 0x80), noise(2));
    expectApplies(Buffer.alloc(size), Buffer.alloc(size - 1));
  });
});
