import { expect, it } from "vitest";
import { parseResult } from "../../bench/results.ts";
import { resultOf, runsOf } from "./results.ts";

const result = resultOf({ switchboard: runsOf(4) });

it("reads a result back from JSON", () => {
  expect(parseResult(JSON.stringify(result), "run.json")).toEqual(result);
});

it("refuses a result of an older format, with the name of its file", () => {
  const old = JSON.stringify({ ...result, version: 2 });
  expect(() => parseResult(old, "old.json")).toThrow("old.json has format 2, not 3: run npm run bench again");
});
