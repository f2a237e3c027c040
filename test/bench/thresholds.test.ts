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

it("says what a ratio can't undercut: the time in the kernel, and the server in C", () => {
  const withFloor = resultOf({ switchboard: runsOf(4, 5, 6), ws: runsOf(10, 10, 10), epoll: runsOf(3, 2, 2) });
  const [check] = checkThresholds(withFloor, [threshold]);
  // Three quarters of every server's time are the kernel's.
  expect(check?.floors?.kernel).toBeCloseTo(0.375);
  expect(check?.floors?.c).toBeCloseTo(0.2);
  expect(check?.floors?.cKernel).toBeCloseTo(0.15);
});

it.each([
  [0.37, "kernel"],
  [0.38, undefined],
  [0.5, undefined],
])("a limit of %d is exceeded by: %s", (atMost, exceededBy) => {
  expect(checkThresholds(result, [{ ...threshold, limit: { atMost } }])).toMatchObject([{ exceededBy }]);
});

it.each([
  [0.44, "bare"],
  [0.46, undefined],
])("over io_uring, a limit of %d is exceeded by: %s", (atMost, exceededBy) => {
  const overUring = resultOf({
    "switchboard-uring": runsOf(5, 5, 5),
    ws: runsOf(10, 10, 10),
    "plain-uring": runsOf(4.5, 4.5, 4.5),
  });
  const limited = { ...threshold, variant: "switchboard-uring", limit: { atMost } };
  expect(checkThresholds(overUring, [limited])).toMatchObject([{ exceededBy }]);
});

it("leaves out the threshold of a scenario that wasn't run", () => {
  expect(checkThresholds(result, [{ ...threshold, scenario: "fanout" }])).toEqual([]);
});

it("doesn't count a failed run, however fast it was", () => {
  const failed = resultOf({ switchboard: runsOf(undefined, 6), ws: runsOf(10, 10) });
  expect(checkThresholds(failed, [threshold])).toMatchObject([{ figure: 0.6, verdict: "not met" }]);
});
