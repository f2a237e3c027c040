import { expect, it } from "vitest";
import { SwitchboardError } from "../../../src/errors.ts";
import { Actor } from "../../../src/runtime/actor/actor.ts";
import { constructActor } from "../../../src/runtime/actor/actor-class.ts";
import type { Address } from "../../../src/runtime/actor/address.ts";
import { recordingContext } from "./recording-context.ts";

class Plain extends Actor<{ user: string }> {}

class Failing extends Actor {
  constructor() {
    super();
    throw new Error("not today");
  }
}

it("shows its connection's id, shard, session, params and protocol", () => {
  const { context } = recordingContext();
  const { id, shard, session, params, protocol } = constructActor(Plain, context);
  expect({ id, shard, session, params, protocol }).toEqual({
    id: "1-7",
    shard: 1,
    session: { user: "ada" },
    params: { room: "blue" },
    protocol: "chat.v2",
  });
});

it("passes its calls on to its connection", async () => {
  const { context, calls } = recordingContext();
  const actor = constructActor(Plain, context);
  expect(actor.send("hello")).toBe("buffered");
  const result = { delivered: 1, buffered: 2, dropped: 3, closed: 4, remote: 5, remoteDropped: 6 };
  expect(actor.publish("news", "extra", { self: true })).toEqual(result);
  await actor.drained();
  await actor.subscribe("news");
  actor.unsubscribe("news");
  expect(await actor.tell("0-1" as Address, "mail")).toEqual({ status: "accepted" });
  expect(await actor.ask("0-1" as Address, "mail", { timeoutMs: 10 })).toBe("answer");
  actor.after(10, () => {});
  actor.every(20, () => {});
  actor.close(4000, "enough");
  expect(calls).toEqual([
    ["send", "hello"],
    ["publish", "news", "extra", { self: true }],
    ["whenDrained"],
    ["subscribe", "news"],
    ["unsubscribe", "news"],
    ["tell", "1-7", "0-1", "mail"],
    ["ask", "1-7", "0-1", "mail", { timeoutMs: 10 }],
    ["schedule", 10, false],
    ["schedule", 20, true],
    ["close", 4000, "enough"],
  ]);
});

it("chooses its slowConsumerPolicy", () => {
  const { context } = recordingContext();
  const actor = constructActor(Plain, context);
  expect(actor.slowConsumerPolicy).toBe("close");
  actor.slowConsumerPolicy = "conflate";
  expect([actor.slowConsumerPolicy, context.slowConsumerPolicy]).toEqual(["conflate", "conflate"]);
  const misuse = expect.objectContaining({ kind: "misuse", code: "ERR_SLOW_CONSUMER_POLICY" });
  expect(() => Object.assign(actor, { slowConsumerPolicy: "dropAll" })).toThrow(misuse);
  expect(actor.slowConsumerPolicy).toBe("conflate");
});

it("rejects a class with slowConsumerPolicy as a field, because the connection wouldn't see that field", () => {
  class Hiding extends Actor {
    constructor() {
      super();
      Object.defineProperty(this, "slowConsumerPolicy", { value: "conflate" });
    }
  }
  const misuse = expect.objectContaining({ kind: "misuse", code: "ERR_SLOW_CONSUMER_POLICY" });
  expect(() => constructActor(Hiding, recordingContext().context)).toThrow(misuse);
});

it("can use its connection in field initialisers and in its constructor", () => {
  class Early extends Actor {
    readonly room = this.params["room"];
    constructor() {
      super();
      this.send(`in ${this.room}`);
    }
  }
  const { context, calls } = recordingContext();
  constructActor(Early, context);
  expect(calls).toEqual([["send", "in blue"]]);
});

it("does nothing by default in all handlers", () => {
  const actor = constructActor(Plain, recordingContext().context);
  expect(actor.opened()).toBeUndefined();
  expect(actor.closed(1000, "")).toBeUndefined();
});

const misuse = { name: "SwitchboardError", kind: "misuse", code: "ERR_ACTOR_CONSTRUCTED" };

it("refuses to be constructed with new, and names the reason", () => {
  expect(() => new Plain()).toThrow(SwitchboardError);
  expect(() => new Plain()).toThrow(
    expect.objectContaining({ ...misuse, message: "actors are constructed by their shard, not by new" }),
  );
});

it("refuses a second actor that an actor's constructor makes with new", () => {
  class Nesting extends Actor {
    readonly inner = new Plain();
  }
  expect(() => constructActor(Nesting, recordingContext().context)).toThrow(expect.objectContaining(misuse));
});

it("throws what a constructor throws, and leaves no connection that new could use", () => {
  expect(() => constructActor(Failing, recordingContext().context)).toThrow("not today");
  expect(() => new Plain()).toThrow(expect.objectContaining(misuse));
});
