import fc from "fast-check";
import { expect, it } from "vitest";
import { formatDuration, parseDuration } from "../../../src/server/config/duration.ts";

it.each([
  ["0", 0],
  ["0s", 0],
  ["300ms", 300],
  ["25s", 25_000],
  ["1.5s", 1_500],
  ["5m", 300_000],
  ["1h30m", 5_400_000],
  ["720h", 2_592_000_000],
  ["30d", 2_592_000_000],
])("reads %s as %i ms", (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

it.each(["", "5", "s", "5 s", "-5s", "5S", "5sec", "1e3s", ".5s", "5s ", "1000000000d"])("refuses %j", (text) => {
  expect(parseDuration(text)).toBeUndefined();
});

it("writes what it reads", () => {
  fc.assert(fc.property(fc.nat(), (ms) => parseDuration(formatDuration(ms)) === ms));
});
