import { describe, expect, it } from "vitest";
import { baselineOf, type Comparison, compare } from "../../bench/baseline.ts";
import { resultOf, runsOf } from "./results.ts";

const WS = runsOf(10, 10, 10, 10, 10);
const quiet = baselineOf(resultOf({ switchboard: runsOf(5, 5, 5, 5, 5), ws: WS }));
const noisy = baselineOf(resultOf({ switchboard: runsOf(4, 4.5, 5, 5.5, 6), ws: WS }));
const runOf = (...cpu: readonly (number | undefined)[]) =>
  baselineOf(resultOf({ switchboard: runsOf(...cpu), ws: WS }));

function only(comparisons: readonly Comparison[]): Comparison | undefined {
  expect(comparisons).toHaveLength(1);
  return comparisons[0];
}

describe("comparing a run with the baseline", () => {
  it.each([
    ["as fast", [5, 5, 5, 5, 5], "same"],
    ["4 % slower, which is below the smallest tolerance", [5.2, 5.2, 5.2, 5.2, 5.2], "same"],
    ["10 % slower in every round", [5.5, 5.5, 5.5, 5.5, 5.5], "regression"],
    ["a third faster", [3.4, 3.4, 3.4, 3.4, 3.4], "improvement"],
    ["slower in one disturbed round", [5, 5, 9, 5, 5], "same"],
  ] as const)("finds a run that is %s", (_, cpu, verdict) => {
    expect(only(compare(quiet, runOf(...cpu)))?.verdict).toBe(verdict);
  });

  it("counts the spread of the baseline's rounds as noise", () => {
    expect(only(compare(noisy, runOf(5.6, 5.6, 5.6, 5.6, 5.6)))?.verdict).toBe("same");
    expect(only(compare(noisy, runOf(8, 8, 8, 8, 8)))?.verdict).toBe("regression");
  });

  it("counts the spread of the run's rounds as noise", () => {
    expect(only(compare(quiet, runOf(4.6, 5.1, 5.6, 6.1, 6.6)))?.verdict).toBe("same");
  });

  it("compares ratios, so a machine half as fast for both servers is no regression", () => {
    const slower = baselineOf(resultOf({ switchboard: runsOf(10, 10, 10), ws: runsOf(20, 20, 20) }));
    expect(only(compare(quiet, slower))?.change).toBeCloseTo(0);
  });

  it("reports a ratio of the baseline that the run lacks as not measured", () => {
    const both = baselineOf(resultOf({ switchboard: runsOf(5, 5), ws: runsOf(10, 10), "node-net": runsOf(6, 6) }));
    const verdicts = compare(both, runOf(5, 5)).map(({ against, verdict }) => [against, verdict]);
    expect(verdicts).toEqual([
      ["ws", "same"],
      ["node-net", "not measured"],
    ]);
  });

  it("leaves out scenarios that weren't run", () => {
    const other = baselineOf(resultOf({ switchboard: runsOf(5), ws: runsOf(10) }, "fanout"));
    expect(compare(quiet, other)).toEqual([]);
  });

  it("leaves out failed rounds", () => {
    expect(runOf(undefined, 5, 5).ratios).toMatchObject([{ against: "ws", median: 0.5, rounds: 2 }]);
    expect(runOf(undefined, undefined).ratios).toEqual([]);
  });
});
