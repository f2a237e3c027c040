import { readFileSync } from "node:fs";
import { describe, expect, it, onTestFinished } from "vitest";
import { type Mapping, mapMemory, showIn, unmap } from "../../../src/wire/native/memory.ts";
import { createVectorMemory } from "../../../src/wire/protocol/masking/vectors.ts";
import { missingUring } from "./availability.ts";

const BYTES = 3 * 64 * 1024;

describe.skipIf(missingUring !== undefined)("mapped memory that is shown in memory of WebAssembly", () => {
  function map(): Mapping {
    const mapping = mapMemory(BYTES);
    onTestFinished(() => unmap(mapping));
    return mapping;
  }

  function vectorBuffer(): ArrayBuffer {
    const memory = createVectorMemory(BYTES);
    if (memory === undefined) throw new Error("this Node has no vectors");
    return memory.buffer;
  }

  it("is the same memory at both addresses", () => {
    const mapping = map();
    const mapped = Buffer.from(mapping.buffer);
    mapped[1] = 7;
    const buffer = vectorBuffer();
    const shown = showIn(mapping, buffer);
    expect(shown).toStrictEqual({ ...mapping, buffer });
    const other = Buffer.from(shown.buffer);
    expect(other[1]).toBe(7);
    other[BYTES - 1] = 9;
    expect(mapped[BYTES - 1]).toBe(9);
  });

  it("lies at two addresses, of which one goes with `unmap`", () => {
    const places = (): number => readFileSync("/proc/self/maps", "utf8").match(/ \/dev\/zero/gu)?.length ?? 0;
    const before = places();
    const mapping = mapMemory(BYTES);
    expect(places()).toBe(before + 1);
    const buffer = vectorBuffer();
    showIn(mapping, buffer);
    expect(places()).toBe(before + 2);
    unmap(mapping);
    expect(places()).toBe(before + 1);
    // What V8 has stays usable.
    Buffer.from(buffer).fill(1);
  });

  it("stays where it is if the system refuses", () => {
    const mapping = { ...map(), byteLength: 0 };
    expect(showIn(mapping, vectorBuffer())).toBe(mapping);
  });
});
