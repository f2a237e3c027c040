import { expect, it } from "vitest";
import { markdownReport } from "../../bench/report/markdown.ts";
import type { Threshold } from "../../bench/thresholds.ts";
import { resultOf, runsOf } from "./results.ts";

const result = resultOf({ switchboard: runsOf(4, 5, 6), ws: runsOf(10, 10, 10), epoll: runsOf(2, 2, 2) });
const bar = (atMost: number): Threshold => ({
  scenario: "echo-20",
  metric: "cpuMicros",
  variant: "switchboard",
  against: "ws",
  limit: { atMost },
});

it("shows the CPU of each server with the part of the kernel", () => {
  expect(markdownReport(result, [])).toContain("| 5.00 µs (75 %) | 10.0 µs (75 %) | 2.00 µs (75 %) |");
});

it.each([
  [0.5, "met"],
  [0.4, "not met"],
  [0.3, "not met: below the kernel's own cost"],
])("shows a bar of %d with its interval, the times in the kernel and the server in C: %s", (limit, verdict) => {
  const row = `| 0.50x | 0.40x to 0.60x | at most ${limit.toFixed(2)}x | 0.38x | 0.15x | 0.20x | | ${verdict} |`;
  expect(markdownReport(result, [bar(limit)])).toContain(row);
});

it("names a server that works between its slices", () => {
  const busy = runsOf(10).map((run) => ({ ...run, idleCpuSeconds: 0.1 }));
  expect(markdownReport(resultOf({ switchboard: busy, ws: runsOf(10) }), [])).toContain(
    "CPU between slices, which isn't counted, relative to that in them: switchboard in Echo 20 B, 1 in flight 25 %.",
  );
});
