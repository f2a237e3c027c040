import { expect, it } from "vitest";
import { type Bar, judge } from "../../bench/bars.ts";
import { resultOf, runsOf } from "./results.ts";

const result = resultOf({ switchboard: runsOf(4, 5, 6), ws: runsOf(10, 10, 10) });
const bar: Bar = { scenario: "echo-20", metric: "cpuMicros", of: "switchboard", against: "ws", limit: { atMost: 0.5 } };

it.each([
  ["met at its limit", { ...bar }, "met"],
  ["not met beyond it", { ...bar, limit: { atMost: 0.49 } }, "not met"],
  ["met from the other side", { ...bar, limit: { atLeast: 0.5 } }, "met"],
  ["only told without a limit", { ...bar, limit: undefined }, "told"],
  ["not measured when the other took no part", { ...bar, against: "bun" }, "not measured"],
  ["that of the figure itself", { ...bar, against: undefined, limit: { atMost: 4.9 } }, "not met"],
] as const)("a bar is %s", (_, tested, verdict) => {
  expect(judge(result, [tested]).map((one) => one.verdict)).toEqual([verdict]);
});

it("a bar of a scenario that wasn't run is left out", () => {
  expect(judge(result, [{ ...bar, scenario: "fanout" }])).toEqual([]);
});

it("a failed run doesn't count, however fast it was", () => {
  const failed = resultOf({ switchboard: runsOf(undefined, 6), ws: runsOf(10, 10) });
  expect(judge(failed, [bar])).toMatchObject([{ figure: 0.6, verdict: "not met" }]);
});
