import { expect, it } from "vitest";
import { DistinctCount, MAX_EXACT } from "../../../src/server/client/control/distinct-count.ts";

function countOf(from: number, to: number, name = "user"): DistinctCount {
  const count = new DistinctCount();
  for (let i = from; i < to; i++) count.add(`${name}-${i}`);
  return count;
}

const merged = (...counts: DistinctCount[]) => DistinctCount.merge(counts.map((one) => one.toBytes()))?.value;

it.each([0, 1, 2, 100, MAX_EXACT])("counts %i texts exactly, each once", (size) => {
  const count = countOf(0, size);
  for (let i = 0; i < size; i++) count.add(`user-${i}`);
  expect(count.value).toBe(size);
  expect(merged(count)).toBe(size);
});

it("merges exact counts exactly, also beyond the limit of one", () => {
  expect(merged()).toBe(0);
  expect(merged(countOf(0, 10), countOf(5, 15), countOf(100, 101))).toBe(16);
  expect(merged(countOf(0, MAX_EXACT), countOf(5_000, 5_000 + MAX_EXACT))).toBe(15_000);
});

it.each([MAX_EXACT + 1, 12_000, 50_000, 300_000])("estimates %i texts within 5 %, in 4 KiB", (size) => {
  const count = countOf(0, size, "some name");
  expect(Math.abs(count.value / size - 1)).toBeLessThan(0.05);
  expect(count.toBytes().length).toBe(4_097);
  const both = merged(countOf(0, 100, "some name"), count, countOf(size, size + 100, "some name")) ?? 0;
  expect(Math.abs(both / (size + 100) - 1)).toBeLessThan(0.05);
});

it("refuses bytes that are no count", () => {
  for (const bytes of [[], [0, 1], [1], [2, 0], new Array(4_097).fill(7)]) {
    expect(DistinctCount.merge([Uint8Array.from(bytes)])).toBeUndefined();
  }
});
