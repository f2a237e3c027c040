import { expect, it } from "vitest";
import { ReportLimit } from "../../../src/runtime/stats/report-limit.ts";

it("allows a limited number of reports in a second, and as many in the next", () => {
  let now = 5_000;
  const limit = new ReportLimit(3, () => now);
  const allowed = (): number => Array.from({ length: 10 }, () => limit.allows()).filter(Boolean).length;
  expect(allowed()).toBe(3);
  now += 999;
  expect(allowed()).toBe(0);
  now += 1;
  expect(allowed()).toBe(3);
  now += 60_000;
  expect(allowed()).toBe(3);
});

it("allows a hundred by default", () => {
  const limit = new ReportLimit(undefined, () => 0);
  expect(Array.from({ length: 1_000 }, () => limit.allows()).filter(Boolean)).toHaveLength(100);
});
