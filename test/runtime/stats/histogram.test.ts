import { expect, it } from "vitest";
import { SharedHistogram } from "../../../src/runtime/stats/histogram.ts";

it("counts each time in the first bucket that holds it", () => {
  const histogram = new SharedHistogram();
  for (const seconds of [0, 0.000_05, 0.000_051, 5, 5.1, 1_000]) histogram.observe(seconds);
  const { buckets, count, sum } = histogram.snapshot();
  expect(buckets.filter((bucket) => bucket.count > 0)).toEqual([
    { le: 0.000_05, count: 2 },
    { le: 0.000_1, count: 1 },
    { le: 5, count: 1 },
    { le: Number.POSITIVE_INFINITY, count: 2 },
  ]);
  expect(count).toBe(6);
  expect(sum).toBeCloseTo(1_010.100_101);
});

it("is shared by all objects on the same memory, and writes only its own part of that memory", () => {
  const memory = new SharedArrayBuffer(8 * 1024);
  const histogram = new SharedHistogram(memory, 1024);
  histogram.observe(1);
  expect(new SharedHistogram(memory, 1024).snapshot()).toEqual(histogram.snapshot());
  expect(new Float64Array(memory, 0, 128).every((value) => value === 0)).toBe(true);
  expect(new SharedHistogram(memory, 2048).snapshot().count).toBe(0);
});
