import { expect, it, vi } from "vitest";
import { SwitchboardError } from "../../../src/errors.ts";
import {
  ACTOR_CONTRACT,
  Actor,
  type ActorClass,
  type ActorContext,
  checkActorContract,
  constructActor,
  isActorClass,
  overrides,
  replaceContext,
} from "../../../src/runtime/actor/actor.ts";
import type { Address } from "../../../src/runtime/actor/address.ts";
import { ConnectionRequest } from "../../../src/runtime/actor/connection-request.ts";

type Call = readonly [method: string, ...args: unknown[]];

/** A context that notes what is called on it. */
function recordingContext(): { context: ActorContext; calls: Call[] } {
  const calls: Call[] = [];
  const context: ActorContext = {
    address: "1-7" as Address,
    shard: 1,
    session: { user: "ada" },
    params: { room: "blue" },
    protocol: "chat.v2",
    request: new ConnectionRequest({ url: "/chat/blue?token=1" }, "192.0.2.1"),
    mailer: {
      tell: async (...args) => {
        calls.push(["tell", ...args]);
        return { status: "accepted" };
      },
      ask: async (...args) => {
        calls.push(["ask", ...args]);
        return "answer";
      },
    },
    send: (data) => {
      calls.push(["send", data]);
      return "buffered";
    },
    slowConsumerPolicy: "close",
    whenDrained: async () => void calls.push(["whenDrained"]),
    publish: (...args) => {
      calls.push(["publish", ...args]);
      return { delivered: 1, buffered: 2, dropped: 3, closed: 4, remote: 5, remoteDropped: 6 };
    },
    subscribe: async (topic) => void calls.push(["subscribe", topic]),
    unsubscribe: (topic) => void calls.push(["unsubscribe", topic]),
    close: (...args) => void calls.push(["close", ...args]),
    schedule: (_actor, delayMs, _callback, repeats) => {
      calls.push(["schedule", delayMs, repeats]);
      return () => {};
    },
    withoutConnection: () => context,
  };
  return { context, calls };
}

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

it("passes what it does on to its connection", async () => {
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

it("chooses what happens when its peer doesn't read", () => {
  const { context } = recordingContext();
  const actor = constructActor(Plain, context);
  expect(actor.slowConsumerPolicy).toBe("close");
  actor.slowConsumerPolicy = "conflate";
  expect([actor.slowConsumerPolicy, context.slowConsumerPolicy]).toEqual(["conflate", "conflate"]);
  const misuse = expect.objectContaining({ kind: "misuse", code: "ERR_SLOW_CONSUMER_POLICY" });
  expect(() => Object.assign(actor, { slowConsumerPolicy: "dropAll" })).toThrow(misuse);
  expect(actor.slowConsumerPolicy).toBe("conflate");
});

it("refuses a class that has its choice as a field, where nobody would see it", () => {
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

it("handles everything with nothing unless told otherwise", () => {
  const actor = constructActor(Plain, recordingContext().context);
  expect(actor.opened()).toBeUndefined();
  expect(actor.closed(1000, "")).toBeUndefined();
});

const misuse = { name: "SwitchboardError", kind: "misuse", code: "ERR_ACTOR_CONSTRUCTED" };

it("refuses to be constructed with new, and says why", () => {
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

it("throws what a constructor throws, and leaves no connection behind for new to take", () => {
  expect(() => constructActor(Failing, recordingContext().context)).toThrow("not today");
  expect(() => new Plain()).toThrow(expect.objectContaining(misuse));
});

it.each([
  { name: "a class that extends Actor", value: Plain, is: true },
  { name: "a class that extends such a class", value: class extends Plain {}, is: true },
  { name: "Actor itself", value: Actor, is: false },
  { name: "a class that extends nothing", value: class {}, is: false },
  { name: "a function", value: () => {}, is: false },
  { name: "an instance", value: constructActor(Plain, recordingContext().context), is: false },
  { name: "an object", value: {}, is: false },
  { name: "undefined", value: undefined, is: false },
  { name: "null", value: null, is: false },
])("takes $name for an actor class: $is", ({ value, is }) => {
  expect(isActorClass(value)).toBe(is);
});

/** The `Actor` of another copy of the module, as a second copy of the package has it. */
async function otherActor(): Promise<typeof Actor> {
  vi.resetModules();
  const copy: typeof import("../../../src/runtime/actor/actor.ts") = await import(
    "../../../src/runtime/actor/actor.ts"
  );
  expect(copy.Actor).not.toBe(Actor);
  return copy.Actor;
}

it("takes an actor class of another copy of the package, and gives its actors their context", async () => {
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

it("refuses an actor class of a copy with another contract, and names both files", async () => {
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
