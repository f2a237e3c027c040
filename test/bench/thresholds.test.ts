import { expect, it } from "vitest";
import { checkThresholds, type Threshold } from "../../bench/thresholds.ts";
import { resultOf, runsOf } from "./results.ts";

const result = resultOf({ switchboard: runsOf(4, 5, 6), ws: runsOf(10, 10, 10) });
const threshold: Threshold = {
  scenario: "echo-20",
  metric: "cpuMicros",
  variant: "switchboard",
  against: "ws",
  limit: { atMost: 0.5 },
};

it.each([
  ["met by a ratio at the limit", threshold, "met"],
  ["not met by a ratio above the limit", { ...threshold, limit: { atMost: 0.49 } }, "not met"],
  ["met by a ratio at a lower limit", { ...threshold, limit: { atLeast: 0.5 } }, "met"],
  ["reported without a limit", { ...threshold, limit: undefined }, "no limit"],
  ["not measured if the other server took no part", { ...threshold, against: "bun" }, "not measured"],
  ["not met by a figure above the limit", { ...threshold, against: undefined, limit: { atMost: 4.9 } }, "not met"],
] as const)("a threshold is %s", (_, tested, verdict) => {
  expect(checkThresholds(result, [tested]).map((check) => check.verdict)).toEqual([verdict]);
});

it("leaves out the threshold of a scenario that wasn't run", () => {
  expect(checkThresholds(result, [{ ...threshold, scenario: "fanout" }])).toEqual([]);
});

it("doesn't count a failed run, however fast it was", () => {
  const failed = resultOf({ switchboard: runsOf(undefined, 6), ws: runsOf(10, 10) });
  expect(checkThresholds(failed, [threshold])).toMatchObject([{ figure: 0.6, verdict: "not met" }]);
});
