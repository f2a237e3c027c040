import { expect, it } from "vitest";
import { Actor } from "../../../../src/runtime/actor/actor.ts";
import { versionOf } from "../../../../src/runtime/actor/actor-class.ts";

class Plain extends Actor {}
class Whole extends Actor {
  static override readonly moves = 3;
  override suspended(): null {
    return null;
  }
  override resumed(): void {}
}
class Inheriting extends Whole {}
class WithoutResumed extends Actor {
  static override readonly moves = 1;
  override suspended(): null {
    return null;
  }
}
class WithoutSuspended extends Actor {
  static override readonly moves = 1;
  override resumed(): void {}
}

it("gives the version of a class that moves, and undefined for one that doesn't", () => {
  expect([Plain, Whole, Inheriting].map((one) => versionOf(one))).toEqual([undefined, 3, 3]);
});

it.each([0, 1.5, -1, 2 ** 31, "1", null, true, Number.NaN])("throws ERR_MOVES for moves = %s", (moves) => {
  const wrong = class extends Whole {};
  Object.defineProperty(wrong, "moves", { value: moves });
  expect(() => versionOf(wrong)).toThrow(expect.objectContaining({ code: "ERR_MOVES" }));
});

it.each([
  [WithoutResumed, "resumed"],
  [WithoutSuspended, "suspended"],
])("throws ERR_MOVES for %s, which lacks a method", (actorClass, method) => {
  expect(() => versionOf(actorClass)).toThrow(`static moves: needs a method ${method}`);
});
