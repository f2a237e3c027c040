import { expect, it } from "vitest";
import { isPosition, MAX_EPOCH_LENGTH, samePosition } from "../../../src/runtime/streams/position.ts";

it.each([
  { epoch: "abc", offset: 0 },
  { epoch: "", offset: 1 },
  { epoch: "x".repeat(MAX_EPOCH_LENGTH), offset: Number.MAX_SAFE_INTEGER },
  { epoch: "abc", offset: 5, more: true },
])("takes %j for a position", (value) => {
  expect(isPosition(value)).toBe(true);
});

it.each([
  undefined,
  null,
  "latest",
  5,
  [],
  {},
  { epoch: "abc" },
  { offset: 1 },
  { epoch: 5, offset: 1 },
  { epoch: "x".repeat(MAX_EPOCH_LENGTH + 1), offset: 1 },
  { epoch: "abc", offset: -1 },
  { epoch: "abc", offset: 1.5 },
  { epoch: "abc", offset: Number.NaN },
  { epoch: "abc", offset: Number.POSITIVE_INFINITY },
  { epoch: "abc", offset: Number.MAX_SAFE_INTEGER + 1 },
  { epoch: "abc", offset: "1" },
  { epoch: "abc", offset: 1n },
])("takes %o for no position", (value) => {
  expect(isPosition(value)).toBe(false);
});

it("tells whether two positions are the same place", () => {
  expect(samePosition({ epoch: "a", offset: 1 }, { epoch: "a", offset: 1 })).toBe(true);
  expect(samePosition({ epoch: "a", offset: 1 }, { epoch: "a", offset: 2 })).toBe(false);
  expect(samePosition({ epoch: "a", offset: 1 }, { epoch: "b", offset: 1 })).toBe(false);
});
