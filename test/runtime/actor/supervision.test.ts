import { AsyncResource } from "node:async_hooks";
import { setImmediate as turn } from "node:timers/promises";
import { expect, it, onTestFinished, vi } from "vitest";
import { Actor, type ActorClass } from "../../../src/runtime/actor/actor.ts";
import { ActorCell } from "../../../src/runtime/actor/actor-cell.ts";
import type { ActorScopes } from "../../../src/runtime/actor/actor-scopes.ts";
import type { Address } from "../../../src/runtime/actor/address.ts";
import type { ActorContext } from "../../../src/runtime/actor/context/actor-context.ts";
import { ConnectionRequest } from "../../../src/runtime/actor/context/connection-request.ts";
import { type Supervision, Supervisor, supervisionOf } from "../../../src/runtime/actor/supervision.ts";
import { NOTHING_KEPT } from "../../../src/runtime/streams/subscribe.ts";
import { messageOf } from "../../../src/wire/protocol/message.ts";
import { Opcode } from "../../../src/wire/protocol/opcode.ts";
import { cellSettings } from "../../support/cells.ts";
import { noMemory } from "./memory.ts";

it("has defaults, and takes the supervision of a class", () => {
  const defaults = { strategy: "stop", maxFailures: 10, withinMs: 60_000 };
  expect(supervisionOf(class extends Actor {})).toEqual(defaults);
  class Own extends Actor {
    static override readonly supervision: Supervision = { strategy: "resume", maxFailures: 3 };
  }
  expect(supervisionOf(Own)).toEqual({ strategy: "resume", maxFailures: 3, withinMs: 60_000 });
});

it.each([
  "stop",
  null,
  { strategy: "die" },
  { strategy: "resume", maxFailures: -1 },
  { strategy: "resume", maxFailures: 10_001 },
  { strategy: "resume", maxFailures: 1.5 },
  { strategy: "resume", withinMs: 0 },
  { strategy: "resume", within: 10 },
])("throws for a supervision of %j", (supervision) => {
  expect(() => supervisionOf({ supervision })).toThrow(
    expect.objectContaining({ kind: "configuration", code: "ERR_SUPERVISION" }),
  );
});

it.each([
  { strategy: "resume", outcome: "resumed" },
  { strategy: "restart", outcome: "restarted" },
] as const)("stops after too many failures within the time with $strategy", ({ strategy, outcome }) => {
  const supervisor = new Supervisor({ strategy, maxFailures: 2, withinMs: 100 });
  expect([0, 50, 120, 155, 160].map((now) => supervisor.decide(true, now))).toEqual([
    ...[outcome, outcome, outcome, outcome, "stopped"],
  ]);
});

it("stops at the first failure when maxFailures is 0", () => {
  expect(new Supervisor({ strategy: "resume", maxFailures: 0, withinMs: 100 }).decide(true, 0)).toBe("stopped");
});

it("stops an actor that is over, whatever its strategy", () => {
  expect(new Supervisor({ strategy: "restart", maxFailures: 9, withinMs: 100 }).decide(false, 0)).toBe("stopped");
});

/** Lets the test advance the timers of actors. Turns of the event loop stay real. */
function holdTimers(): void {
  vi.useFakeTimers({ toFake: ["setTimeout", "setInterval", "clearTimeout", "clearInterval"] });
  onTestFinished(() => void vi.useRealTimers());
}

let log: string[] = [];
let serial = 0;

class Counting extends Actor {
  readonly #name = `actor ${++serial}`;
  #count = 0;
  override opened(): void {
    this.note("opened");
  }
  override restarted(error: Error): void | Promise<void> {
    this.note(`restarted after ${error.message}`);
  }
  override received({ text }: { readonly text: string }): void | Promise<void> {
    this.note(`${text} ${++this.#count}`);
    if (text === "throw") throw new Error("thrown");
    if (text === "reject") return Promise.reject(new Error("rejected"));
  }
  override mailed(mail: unknown): void {
    this.note(`mail ${mail}`);
    if (mail === "throw") throw new Error("mail thrown");
  }
  override closed(code: number): void {
    this.note(`closed ${code}`);
    throw new Error("can't close");
  }
  note(what: string): void {
    log.push(`${this.#name} ${what}`);
  }
}

function start(supervision: Supervision, base: ActorClass = Counting) {
  log = [];
  serial = 0;
  const actorClass = Object.assign(class extends base {}, { supervision }) as ActorClass;
  const settings = cellSettings();
  const cell: ActorCell = new ActorCell(settings, {
    actorFailed: (handler, error, outcome) => log.push(`${handler} ${outcome}: ${(error as Error).message}`),
    messagesAnswered() {},
    mailboxHasRoom: () => {},
    actorResumed: () => {},
    mailUndelivered: ({ value }) => log.push(`dead ${value}`),
    handlerTimedOut: () => {},
    actorEnded: () => {},
  });
  const context: ActorContext = {
    address: "0-0" as Address,
    ...{ shard: 0, session: undefined, params: {}, protocol: "" },
    request: new ConnectionRequest({ url: "/chat/blue?token=1" }, "192.0.2.1"),
    memory: noMemory(),
    mailer: { tell: async () => ({ status: "accepted" }), ask: async () => undefined },
    send: () => "sent",
    publish: () => ({ delivered: 0, buffered: 0, dropped: 0, closed: 0, remote: 0, remoteDropped: 0 }),
    slowConsumerPolicy: "close",
    whenDrained: async () => {},
    subscribe: async () => NOTHING_KEPT,
    unsubscribe: () => {},
    close: () => {},
    schedule: (...args) => cell.schedule(...args),
    cancelTimers: (method) => cell.cancelTimers(method),
    withoutConnection: () => context,
  };
  cell.open(actorClass, context);
  onTestFinished(() => cell.stop());
  return {
    cell,
    scopes: settings.scopes,
    deliver: (text: string) => cell.deliver(messageOf(Opcode.text, Buffer.from(text))),
  };
}

it("resumes with its state after any failure", async () => {
  const { cell, deliver } = start({ strategy: "resume" });
  deliver("throw");
  deliver("reject");
  deliver("a");
  cell.mail({ kind: "mail", value: "throw", from: undefined, answer: undefined });
  deliver("b");
  await turn();
  await turn();
  cell.end(1000, "");
  expect(log).toEqual([
    "actor 1 opened",
    ...["actor 1 throw 1", "received resumed: thrown", "actor 1 reject 2", "received resumed: rejected"],
    ...["actor 1 a 3", "actor 1 mail throw", "mailed resumed: mail thrown", "actor 1 b 4"],
    ...["actor 1 closed 1000", "closed stopped: can't close"],
  ]);
});

it("restarts with a new object, which gets the error before the waiting messages", async () => {
  const { deliver } = start({ strategy: "restart" });
  deliver("a");
  deliver("reject");
  deliver("b");
  await turn();
  deliver("throw");
  deliver("c");
  expect(log).toEqual([
    ...["actor 1 opened", "actor 1 a 1", "actor 1 reject 2", "received restarted: rejected"],
    ...["actor 2 restarted after rejected", "actor 2 b 1", "actor 2 throw 2", "received restarted: thrown"],
    ...["actor 3 restarted after thrown", "actor 3 c 1"],
  ]);
});

it("lets messages wait for an async restarted", async () => {
  const gate = Promise.withResolvers<void>();
  class Slow extends Counting {
    override async restarted(): Promise<void> {
      this.note("restarting");
      await gate.promise;
      this.note("restarted");
    }
  }
  const { deliver } = start({ strategy: "restart" }, Slow);
  deliver("throw");
  deliver("a");
  expect(log.at(-1)).toBe("actor 2 restarting");
  gate.resolve();
  await turn();
  expect(log.slice(-2)).toEqual(["actor 2 restarted", "actor 2 a 1"]);
});

it("stops an actor that keeps failing to restart, and drops its messages", () => {
  class Never extends Counting {
    override restarted(): void {
      throw new Error("not again");
    }
  }
  const { cell, deliver } = start({ strategy: "restart", maxFailures: 3 }, Never);
  deliver("throw");
  deliver("lost");
  expect(log.slice(2)).toEqual([
    "received restarted: thrown",
    ...["restarted restarted: not again", "restarted restarted: not again", "restarted stopped: not again"],
  ]);
  expect(cell.mail({ kind: "mail", value: 1, from: undefined, answer: undefined })).toBe("gone");
});

it("counts a constructor that throws at a restart as a failure, and stops when the first constructor throws", () => {
  class Once extends Counting {
    constructor() {
      super();
      if (serial > 1) throw new Error("no second");
    }
  }
  const { cell, deliver } = start({ strategy: "restart", maxFailures: 2 }, Once);
  deliver("throw");
  expect(log.slice(3)).toEqual(["constructor restarted: no second", "constructor stopped: no second"]);
  // There is no actor to call.
  cell.end(1011, "");
  expect(log).toHaveLength(5);
  class No extends Counting {
    constructor() {
      super();
      throw new Error("none at all");
    }
  }
  start({ strategy: "restart" }, No);
  expect(log).toEqual(["constructor stopped: none at all"]);
});

it("escalates every failure", () => {
  const { deliver } = start({ strategy: "escalate" });
  deliver("throw");
  deliver("lost");
  expect(log).toEqual(["actor 1 opened", "actor 1 throw 1", "received escalated: thrown"]);
});

/** Starts work that it doesn't await and that calls back when it fails. */
class Leaving extends Counting {
  readonly left = new Map<string, (error: unknown) => void>();
  constructor() {
    super();
    leaving.push(this);
    this.leave("constructor");
  }
  override opened(): void {
    this.leave("opened");
  }
  override received({ text }: { readonly text: string }): void | Promise<void> {
    if (text !== "wait") return this.leave(text);
    return gate.promise.then(() => this.note("waited"));
  }
  override restarted(error: Error): void {
    super.restarted(error);
    this.leave("restarted");
  }
  override closed(code: number): void {
    this.note(`closed ${code}`);
    this.leave("closed");
  }
  leave(what: string): void {
    this.left.set(
      what,
      AsyncResource.bind(() => scopesOfLeaving?.blame(new Error(`left by ${what}`))),
    );
  }
  fail(what: string): void {
    this.left.get(what)?.(undefined);
  }
}

let leaving: Leaving[] = [];
let gate = Promise.withResolvers<void>();
let scopesOfLeaving: ActorScopes | undefined;

function startLeaving(supervision: Supervision) {
  leaving = [];
  gate = Promise.withResolvers<void>();
  const started = start(supervision, Leaving);
  scopesOfLeaving = started.scopes;
  return started;
}

it("supervises promises that any handler left unawaited", () => {
  const { deliver } = startLeaving({ strategy: "resume", maxFailures: 4 });
  deliver("received");
  for (const handler of ["constructor", "opened", "received"]) leaving[0]?.fail(handler);
  scopesOfLeaving?.dropAll();
  deliver("received again");
  leaving[0]?.fail("received again");
  leaving[0]?.fail("received");
  expect(log).toEqual([
    ...["constructor", "opened", "received", "received again"].map((what) => `detached resumed: left by ${what}`),
    "detached stopped: left by received",
  ]);
});

it("restarts an actor for a rejected promise that nobody awaited, once its handler is done, and not the new object", async () => {
  const { deliver } = startLeaving({ strategy: "restart" });
  deliver("received");
  deliver("wait");
  deliver("after that");
  leaving[0]?.fail("received");
  leaving[0]?.fail("opened");
  expect(log).toEqual(["detached restarted: left by received", "detached restarted: left by opened"]);
  gate.resolve();
  await turn();
  leaving[0]?.fail("received");
  expect(log.slice(2)).toEqual([
    ...["actor 1 waited", "actor 2 restarted after left by received", "detached restarted: left by received"],
  ]);
  leaving[1]?.fail("after that");
  expect(log.slice(5)).toEqual([
    "detached restarted: left by after that",
    "actor 3 restarted after left by after that",
  ]);
  leaving[2]?.fail("restarted");
  expect(leaving).toHaveLength(4);
});

it("stops an actor that has ended when a promise that nobody awaited rejects", () => {
  const { cell, deliver } = startLeaving({ strategy: "restart" });
  deliver("received");
  cell.end(1000, "");
  leaving[0]?.fail("received");
  leaving[0]?.fail("closed");
  expect(log).toEqual([
    ...["actor 1 closed 1000", "detached stopped: left by received", "detached stopped: left by closed"],
  ]);
});

class Timing extends Counting {
  override received({ text }: { readonly text: string }): void | Promise<void> {
    const [what, ms] = text.split(" ");
    if (what === "after") this.after(Number(ms), () => this.note("after"));
    else if (what === "every") this.every(Number(ms), () => this.note("every"));
    else if (what === "fail") this.after(Number(ms), () => Promise.reject(new Error("late")));
    else return super.received({ text });
  }
}

it("calls timers back as handlers of the actor, once or repeatedly", async () => {
  const { deliver } = start({ strategy: "stop" }, Timing);
  deliver("after 1");
  deliver("every 1");
  await vi.waitFor(() => expect(log.filter((line) => line === "actor 1 every").length).toBeGreaterThan(2));
  expect(log.filter((line) => line === "actor 1 after")).toHaveLength(1);
});

it("lets each timer wait once for the handler that runs", async () => {
  holdTimers();
  const gate = Promise.withResolvers<void>();
  class Held extends Timing {
    override async received(message: { readonly text: string }): Promise<void> {
      if (message.text === "hold") await gate.promise;
      else await super.received(message);
      this.note("done");
    }
  }
  const { deliver } = start({ strategy: "stop" }, Held);
  deliver("every 1");
  await turn();
  deliver("hold");
  const before = log.length;
  vi.advanceTimersByTime(20);
  expect(log).toHaveLength(before);
  gate.resolve();
  await turn();
  expect(log.slice(before)).toEqual(["actor 1 done", "actor 1 every"]);
});

it("supervises the callbacks of timers", async () => {
  const { deliver } = start({ strategy: "resume" }, Timing);
  deliver("fail 1");
  await vi.waitFor(() => expect(log).toContain("timer resumed: late"));
});

it.each(["end", "stop", "restart"])("ends timers with the actor: %s", (how) => {
  holdTimers();
  const { cell, deliver } = start({ strategy: "restart" }, Timing);
  deliver("every 1");
  deliver("after 5");
  if (how === "end") cell.end(1000, "");
  else if (how === "stop") cell.stop();
  else deliver("throw");
  const before = log.length;
  vi.advanceTimersByTime(20);
  expect(log).toHaveLength(before);
});

it("cancels a timer, refuses one of an actor that was replaced, and throws for a wrong time or callback", () => {
  holdTimers();
  const actors: Timing[] = [];
  class Kept extends Timing {
    constructor() {
      super();
      actors.push(this);
    }
  }
  const { deliver } = start({ strategy: "restart" }, Kept);
  const [first] = actors;
  if (first === undefined) throw new Error("there is one");
  const cancel = first.after(1, () => first.note("cancelled"));
  cancel();
  for (const ms of [-1, Number.NaN, 2 ** 31, "5" as unknown as number]) {
    expect(() => first.after(ms, () => {})).toThrow(expect.objectContaining({ code: "ERR_TIMER" }));
  }
  expect(() => first.every(0, () => {})).toThrow(expect.objectContaining({ code: "ERR_TIMER" }));
  expect(() => first.after(1, undefined as unknown as () => void)).toThrow(
    expect.objectContaining({ code: "ERR_TIMER" }),
  );
  deliver("throw");
  const before = log.length;
  first.after(0, () => first.note("replaced"));
  vi.advanceTimersByTime(20);
  expect(log).toHaveLength(before);
});
