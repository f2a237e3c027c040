import { expect, it } from "vitest";
import { Actor } from "../../../src/runtime/actor/actor.ts";
import { type SlowConsumerClose, slowConsumerCloseOf } from "../../../src/runtime/actor/slow-consumer-close.ts";

it("is 1013 by default, and what a class chooses", () => {
  expect(slowConsumerCloseOf(class extends Actor {})).toEqual({ code: 1013, reason: "reads too slowly" });
  class Own extends Actor {
    static override readonly slowConsumerClose: SlowConsumerClose = { code: 4008, reason: "slow" };
  }
  expect(slowConsumerCloseOf(Own)).toEqual({ code: 4008, reason: "slow" });
});

it.each([
  null,
  4008,
  {},
  { code: 4008 },
  { code: "4008", reason: "slow" },
  { code: 1006, reason: "slow" },
  { code: 5000, reason: "slow" },
  { code: 4008, reason: "x".repeat(124) },
])("throws for %j", (slowConsumerClose) => {
  expect(() => slowConsumerCloseOf({ slowConsumerClose })).toThrow(
    expect.objectContaining({ kind: "configuration", code: "ERR_SLOW_CONSUMER_CLOSE" }),
  );
});
