import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LatencyHistogram } from "../../src/load/histogram.ts";

const values = fc.array(
  fc.oneof(fc.double({ min: 0, max: 1000, noNaN: true }), fc.double({ min: 0, max: 2e8, noNaN: true })),
  {
    minLength: 1,
    maxLength: 500,
  },
);

/** Half the width of a value's bucket: 1/256 of the value, or 1/16 where buckets have a fixed width. */
const tolerance = (value: number): number => Math.max(1 / 16, value / 256) + 1e-9;

function histogramOf(recorded: readonly number[]): LatencyHistogram {
  const histogram = new LatencyHistogram();
  for (const value of recorded) histogram.record(value);
  return histogram;
}

describe("LatencyHistogram", () => {
  it("gives the quantiles of the sorted values, within half a bucket", () => {
    fc.assert(
      fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (recorded, part) => {
        const sorted = recorded.toSorted((a, b) => a - b);
        const exact = sorted[Math.max(1, Math.ceil(part * sorted.length)) - 1] ?? Number.NaN;
        expect(Math.abs(histogramOf(recorded).quantile(part) - exact)).toBeLessThanOrEqual(tolerance(exact));
      }),
    );
  });

  it("has the exact mean and largest value", () => {
    fc.assert(
      fc.property(values, (recorded) => {
        const histogram = histogramOf(recorded);
        const mean = recorded.reduce((sum, value) => sum + value, 0) / recorded.length;
        expect(histogram.mean).toBeCloseTo(mean, 3);
        expect(histogram.max).toBe(Math.max(...recorded));
        expect(histogram.count).toBe(recorded.length);
      }),
    );
  });

  it("gives the same quantiles from merged counts as from all values", () => {
    fc.assert(
      fc.property(values, values, (one, other) => {
        const together = histogramOf([...one, ...other]);
        const merged = LatencyHistogram.from([histogramOf(one), histogramOf(other)].flatMap((part) => part.counts()));
        expect(merged.counts()).toEqual(together.counts());
        const added = histogramOf(one);
        added.add(histogramOf(other));
        expect(added.counts()).toEqual(together.counts());
        expect(added.max).toBe(together.max);
      }),
    );
  });

  it.each([
    [-5, 1 / 16],
    [Number.NaN, 1 / 16],
    [0, 1 / 16],
    [0.13, 3 / 16],
    [31.9, 31.9375],
    [32, 32.125],
  ])("puts %d into the bucket around %d", (value, middle) => {
    expect(histogramOf([value]).counts()).toEqual([[middle, 1]]);
  });

  it("records values above its range in its last bucket", () => {
    expect(histogramOf([1e12]).counts()[0]?.[0]).toBeGreaterThan(267e6);
  });

  it("is empty after a reset, with all figures 0", () => {
    const histogram = histogramOf([1, 2, 3]);
    histogram.reset();
    const { count, mean, max } = histogram;
    expect({ count, mean, max, median: histogram.quantile(0.5), counts: histogram.counts() }).toEqual({
      count: 0,
      mean: 0,
      max: 0,
      median: 0,
      counts: [],
    });
  });
});
