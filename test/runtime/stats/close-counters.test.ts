import { expect, it } from "vitest";
import { CloseCounters } from "../../../src/runtime/stats/close-counters.ts";

it("counts each code of the protocol separately, and codes of applications by their range", () => {
  const counters = new CloseCounters();
  for (const code of [1000, 1000, 1005, 1006, 1015, 3000, 3999, 4000, 4001, 4999]) counters.add(code);
  expect(counters.snapshot()).toEqual({ 1000: 2, 1005: 1, 1006: 1, 1015: 1, "3xxx": 2, "4xxx": 3 });
});

it("leaves out codes that didn't occur", () => {
  expect(new CloseCounters().snapshot()).toEqual({});
});
