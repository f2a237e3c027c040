import { expect, it, vi } from "vitest";
import { ACTOR_CONTRACT, Actor, type ActorClass } from "../../../src/runtime/actor/actor.ts";
import {
  checkActorContract,
  constructActor,
  isActorClass,
  overrides,
  replaceContext,
} from "../../../src/runtime/actor/actor-class.ts";
import { recordingContext } from "./recording-context.ts";

class Plain extends Actor {}

it.each([
  { name: "a class that extends Actor", value: Plain, is: true },
  { name: "a class that extends such a class", value: class extends Plain {}, is: true },
  { name: "Actor itself", value: Actor, is: false },
  { name: "a class that doesn't extend Actor", value: class {}, is: false },
  { name: "a function", value: () => {}, is: false },
  { name: "an instance", value: constructActor(Plain, recordingContext().context), is: false },
  { name: "an object", value: {}, is: false },
  { name: "undefined", value: undefined, is: false },
  { name: "null", value: null, is: false },
])("classifies $name as an actor class: $is", ({ value, is }) => {
  expect(isActorClass(value)).toBe(is);
});

/** The `Actor` of a second copy of the package. */
async function otherActor(): Promise<typeof Actor> {
  vi.resetModules();
  const copy: typeof import("../../../src/runtime/actor/actor.ts") = await import(
    "../../../src/runtime/actor/actor.ts"
  );
  expect(copy.Actor).not.toBe(Actor);
  return copy.Actor;
}

it("accepts an actor class of another copy of the package, and gives its actors their context", async () => {
  const Other = await otherActor();
  class Foreign extends Other {
    override mailed(): void {}
  }
  const { context, calls } = recordingContext();
  expect(isActorClass(Foreign)).toBe(true);
  expect(isActorClass(Other)).toBe(false);
  expect(() => checkActorContract(Foreign)).not.toThrow();
  const actor = constructActor(Foreign, context);
  actor.send("hello");
  expect(calls).toEqual([["send", "hello"]]);
  expect(overrides(actor, "mailed")).toBe(true);
  expect(overrides(actor, "shuttingDown")).toBe(false);
  const later = recordingContext();
  replaceContext(actor, later.context);
  actor.send("again");
  expect(later.calls).toEqual([["send", "again"]]);
});

it("rejects an actor class of a copy with another contract, and names both files", async () => {
  const Other = await otherActor();
  const [mark] = Object.getOwnPropertySymbols(Other.prototype);
  const newer = Object.create(Other.prototype, {
    [mark as symbol]: {
      value: { contract: ACTOR_CONTRACT + 1, file: "file:///other/actor.js", base: Other.prototype },
    },
  });
  class Base {}
  Object.setPrototypeOf(Base.prototype, newer);
  class Foreign extends Base {}
  expect(isActorClass(Foreign)).toBe(true);
  const message = expect.stringMatching(/file:\/\/\/other\/actor\.js, .* file:\/\/.*\/runtime\/actor\/actor\.ts/);
  expect(() => checkActorContract(Foreign as unknown as ActorClass)).toThrow(
    expect.objectContaining({ code: "ERR_ACTOR_COPY", message }),
  );
});
