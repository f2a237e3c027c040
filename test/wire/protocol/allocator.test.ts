import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, it } from "vitest";
import { allocate, type Region } from "../../../src/wire/protocol/allocator.ts";

/** Pieces of these sizes, in turn, that fill a few blocks. */
const pieces = [
  ["of many sizes", (i: number) => (i * 131) % 900],
  ["of 5 bytes, which don't fill a block exactly", () => 5],
  ["of 4,096 bytes, which do", () => 4_096],
] as const;

it.each(pieces)("returns regions that never overlap and stay within their block: %s", (_name, sizeOf) => {
  const regions = Array.from({ length: 30_000 }, (_, i) => ({ size: sizeOf(i), ...allocate(sizeOf(i)) }));
  const byBlock = Map.groupBy(regions, ({ block }) => block);
  expect(byBlock.size).toBeGreaterThan(1);
  for (const [block, inBlock] of byBlock) {
    let free = 0;
    for (const { start, size } of inBlock.toSorted((a, b) => a.start - b.start || a.size - b.size)) {
      if (start < free) expect.fail(`a region at ${start} overlaps one that ends at ${free}`);
      free = start + size;
    }
    expect(free).toBeLessThanOrEqual(block.length);
  }
});

it("gives large regions a memory of their own", () => {
  const size = 100_000;
  const first: Region = allocate(size);
  const second: Region = allocate(size);
  expect(first.block).not.toBe(second.block);
  expect(first.start).toBe(0);
  expect(first.block.length).toBe(size);
});

it.each([0, 1, 10_000, 20_000, 100_000])("returns %i bytes in a block at offset 0 of its memory", (size) => {
  const { block, start } = allocate(size);
  expect(block.byteOffset).toBe(0);
  expect(block.length).toBeGreaterThanOrEqual(start + size);
});

it("lets V8 free large pieces in scavenges, and seldom in collections of the whole heap", async () => {
  const worker = new Worker(new URL("./allocating.ts", import.meta.url), {
    resourceLimits: { maxYoungGenerationSizeMb: 8 },
  });
  const [{ minor, major }] = await once(worker, "message");
  expect(minor).toBeGreaterThan(10);
  // Without the ballast, every other minor collection would be followed by a major one.
  expect(major).toBeLessThan(minor / 5);
});
