import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Counts, median, mergeCounts, noiseOf, pairRatios, quantile, spreadOf } from "../../bench/statistics.ts";

describe("median", () => {
  it.each([
    [[3], 3],
    [[1, 2], 1.5],
    [[5, 1, 3], 3],
    [[10, 1, 2, 100], 6],
  ])("of %j is %d", (numbers, expected) => {
    expect(median(numbers)).toBe(expected);
  });

  it("of an empty list is NaN", () => {
    expect(median([])).toBeNaN();
  });

  it("doesn't change its argument", () => {
    const numbers = [3, 1, 2];
    median(numbers);
    expect(numbers).toEqual([3, 1, 2]);
  });
});

const latencies = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 200 });
const countsOf = (numbers: readonly number[]): Counts => numbers.map((micros) => [micros, 1] as const);

describe("quantiles of merged counts", () => {
  it("are those of all observations together", () => {
    const part = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(latencies, latencies, part, (some, others, p) => {
        const all = [...some, ...others].sort((a, b) => a - b);
        const merged = mergeCounts([countsOf(some), countsOf(others)]);
        expect(quantile(merged, p)).toBe(all[Math.max(1, Math.ceil(p * all.length)) - 1]);
      }),
    );
  });

  it("aren't averages of quantiles", () => {
    const quick: Counts = [[10, 990]];
    const slow: Counts = [[1000, 10]];
    expect(quantile(mergeCounts([quick, slow]), 0.9)).toBe(10);
    expect(quantile(mergeCounts([quick, slow]), 0.999)).toBe(1000);
  });

  it("count the same latency of several histograms once, sorted", () => {
    const merged = mergeCounts([
      [
        [7, 1],
        [3, 2],
      ],
      [[3, 5]],
    ]);
    expect(merged).toEqual([
      [3, 7],
      [7, 1],
    ]);
  });

  it("of an empty list is NaN", () => {
    expect(quantile([], 0.5)).toBeNaN();
  });
});

describe("pair ratios", () => {
  it("divide figures of the same turn, in any order of turns", () => {
    const ours = [
      { turn: 1, value: 4 },
      { turn: 2, value: 30 },
    ];
    const theirs = [
      { turn: 2, value: 60 },
      { turn: 1, value: 8 },
    ];
    expect(pairRatios(ours, theirs)).toEqual([0.5, 0.5]);
  });

  it("leave out a turn that only one of the two has", () => {
    const ours = [
      { turn: 1, value: 4 },
      { turn: 2, value: 30 },
    ];
    expect(pairRatios(ours, [{ turn: 2, value: 60 }])).toEqual([0.5]);
    expect(pairRatios(ours, [{ turn: 1, value: 0 }])).toEqual([]);
  });
});

describe("spread", () => {
  const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

  it("has the median, and the least and the greatest of a few figures", () => {
    expect(spreadOf([2, 9, 4])).toEqual({ median: 4, low: 2, high: 9 });
    expect(spreadOf([7])).toEqual({ median: 7, low: 7, high: 7 });
    expect(spreadOf([])).toBeUndefined();
  });

  // Ranks from the tables of the sign test.
  it.each([
    [8, 1, 8],
    [9, 2, 8],
    [15, 4, 12],
    [20, 6, 15],
    [30, 10, 21],
  ])("of %d figures ends at those of rank %d and %d", (count, low, high) => {
    expect(spreadOf(upTo(count).reverse())).toMatchObject({ low, high });
  });

  it("isn't moved by a few disturbed figures", () => {
    expect(spreadOf([...upTo(15), 1e6, 1e6, 1e6, 1e6, 1e6])).toMatchObject({ high: 15 });
  });
});

describe("noise", () => {
  it("is 0 if all rounds agree, or if there is only one", () => {
    expect(noiseOf([5, 5, 5])).toBe(0);
    expect(noiseOf([5])).toBe(0);
    expect(noiseOf([])).toBe(0);
  });

  it("is relative to the median", () => {
    expect(noiseOf([9, 10, 11])).toBeCloseTo(0.14826, 5);
    expect(noiseOf([90, 100, 110])).toBeCloseTo(0.14826, 5);
  });

  it("stays small with one disturbed round", () => {
    expect(noiseOf([10, 10.1, 9.9, 10, 40])).toBeLessThan(0.05);
  });
});
