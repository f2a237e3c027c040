import { AsyncResource, executionAsyncId } from "node:async_hooks";
import { expect, it, vi } from "vitest";
import { Actor, type ActorClass } from "../../../src/runtime/actor/actor.ts";
import { ActorScopes } from "../../../src/runtime/actor/actor-scopes.ts";
import type { ActorTimer } from "../../../src/runtime/actor/actor-timers.ts";
import type { ActorContext } from "../../../src/runtime/actor/context/actor-context.ts";
import { Incarnation, type IncarnationOwner } from "../../../src/runtime/actor/incarnation.ts";
import type { Mail } from "../../../src/runtime/actor/mail.ts";
import { OPENING, type Restart, SHUTTING_DOWN, type Work } from "../../../src/runtime/actor/work.ts";
import { context, message } from "./cell.ts";

const RESTART: Restart = { kind: "restart", error: new Error("why") };
const CLOSING: Work = { kind: "closing", code: 1000, reason: "" };
const MAIL: Mail = { kind: "mail", value: "mail", from: undefined, answer: undefined };

function timer(call: () => unknown = () => "timer"): ActorTimer {
  return { kind: "timer", call, repeatMs: undefined, dueAt: 0, waits: true, cancelled: false, handle: undefined };
}

/** Records the handlers that are called. Each leaves a promise unawaited. */
class Plain extends Actor {
  static objects: Plain[] = [];
  readonly calls: string[] = [];
  /** Rejects the promise that the last handler left unawaited. */
  fail: (error: Error) => boolean = () => false;

  constructor() {
    super();
    Plain.objects.push(this);
  }
  override opened(): void {
    this.#called("opened");
  }
  override restarted(error: unknown): void {
    this.#called(`restarted: ${(error as Error).message}`);
  }
  override received(): void {
    this.#called("received");
  }
  override mailed(): unknown {
    this.#called("mailed");
    return "answer";
  }
  override shuttingDown(): void {
    this.#called("shuttingDown");
  }
  override closed(code: number): void {
    this.#called(`closed ${code}`);
  }
  #called(handler: string): void {
    this.calls.push(handler);
    this.fail = AsyncResource.bind((error: Error) => scopes.blame(error));
  }
}

let scopes = new ActorScopes();

function create(actorClass: ActorClass = Plain, own: ActorContext = context) {
  scopes = new ActorScopes();
  Plain.objects = [];
  const owner = { detachedFailed: vi.fn<IncarnationOwner["detachedFailed"]>() };
  const incarnation = new Incarnation(actorClass, own, scopes, owner);
  return { incarnation, owner };
}

function constructed(own?: ActorContext) {
  const created = create(Plain, own);
  created.incarnation.construct();
  const [first] = Plain.objects;
  if (first === undefined) throw new Error("no actor was constructed");
  return { ...created, first };
}

it.each<{ work: Work; handler: string; called: string[]; result?: string }>([
  { work: OPENING, handler: "opened", called: ["opened"] },
  { work: message("hello"), handler: "received", called: ["received"] },
  { work: MAIL, handler: "mailed", called: ["mailed"], result: "answer" },
  { work: timer(), handler: "timer", called: [], result: "timer" },
  { work: SHUTTING_DOWN, handler: "shuttingDown", called: ["shuttingDown"] },
  { work: RESTART, handler: "restarted", called: ["restarted: why"] },
  { work: CLOSING, handler: "closed", called: ["closed 1000"] },
])("calls $handler, names it and returns its result", ({ work, handler, called, result }) => {
  const { incarnation } = constructed();
  expect(incarnation.handlerOf(work)).toBe(handler);
  expect(incarnation.handle(work)).toBe(result);
  expect(Plain.objects.at(-1)?.calls).toEqual(called);
});

it("names the constructor when a restart fails in it, and restarted when the restart fails after it", () => {
  let fails: "constructor" | "restarted" = "constructor";
  class Failing extends Plain {
    constructor() {
      super();
      if (Plain.objects.length > 1 && fails === "constructor") throw new Error("no second");
    }
    override restarted(): never {
      throw new Error("not again");
    }
  }
  const { incarnation } = create(Failing);
  incarnation.construct();
  expect(() => incarnation.handle(RESTART)).toThrow("no second");
  expect(incarnation.handlerOf(RESTART)).toBe("constructor");
  expect(incarnation.isConstructed).toBe(false);
  fails = "restarted";
  expect(() => incarnation.handle(RESTART)).toThrow("not again");
  expect(incarnation.handlerOf(RESTART)).toBe("restarted");
  expect(incarnation.isConstructed).toBe(true);
});

it("holds the object of the last restart", () => {
  const { incarnation, first } = constructed();
  expect(incarnation.is(first)).toBe(true);
  incarnation.handle(RESTART);
  expect(incarnation.is(first)).toBe(false);
  expect(incarnation.is(Plain.objects[1] as Plain)).toBe(true);
});

it("doesn't call closed when the constructor failed", () => {
  class Failing extends Plain {
    constructor() {
      super();
      throw new Error("not today");
    }
  }
  const { incarnation } = create(Failing);
  expect(() => incarnation.construct()).toThrow("not today");
  expect(incarnation.handle(CLOSING)).toBeUndefined();
});

it("doesn't call a timer that was cancelled while it waited", () => {
  const { incarnation } = constructed();
  const callback = vi.fn();
  const due = timer(callback);
  due.cancelled = true;
  incarnation.handle(due);
  expect(callback).not.toHaveBeenCalled();
  expect(due.waits).toBe(false);
});

it("reports an unawaited promise of the current object, and one of a replaced object as replaced", () => {
  const { incarnation, owner, first } = constructed();
  incarnation.handle(message("hello"));
  const [current, late] = [new Error("current"), new Error("late")];
  expect(first.fail(current)).toBe(true);
  incarnation.retire();
  expect(first.fail(late)).toBe(true);
  incarnation.handle(RESTART);
  expect(first.fail(late)).toBe(true);
  const ofSecond = new Error("of the second");
  expect(Plain.objects[1]?.fail(ofSecond)).toBe(true);
  expect(owner.detachedFailed.mock.calls).toEqual([
    [current, false],
    [late, true],
    [late, true],
    [ofSecond, false],
  ]);
});

it.each<{ kind: string; work: Work; kept: boolean }>([
  { kind: "message", work: message("hello"), kept: true },
  { kind: "mail", work: MAIL, kept: true },
  { kind: "timer", work: timer(), kept: true },
  { kind: "opening", work: OPENING, kept: false },
  { kind: "restart", work: RESTART, kept: false },
  { kind: "shuttingDown", work: SHUTTING_DOWN, kept: false },
  { kind: "closing", work: CLOSING, kept: false },
])("keeps its scope after work of kind $kind: $kept", ({ work, kept }) => {
  const { incarnation } = constructed();
  const create = vi.spyOn(scopes, "create");
  // The constructor's scope is the one that `opened` uses.
  incarnation.handle(OPENING);
  expect(create).not.toHaveBeenCalled();
  incarnation.handle(work);
  expect(create).toHaveBeenCalledTimes(1);
  incarnation.handle(work);
  expect(create).toHaveBeenCalledTimes(kept ? 1 : 2);
});

it("creates a new scope when the kept one was dropped, and registers each once", () => {
  const { incarnation } = constructed();
  incarnation.handle(OPENING);
  const create = vi.spyOn(scopes, "create");
  const keep = vi.spyOn(scopes, "keep");
  incarnation.handle(message("one"));
  incarnation.handle(message("two"));
  expect([create.mock.calls.length, keep.mock.calls.length]).toEqual([1, 1]);
  scopes.dropAll();
  incarnation.handle(message("three"));
  expect([create.mock.calls.length, keep.mock.calls.length]).toEqual([2, 2]);
});

it("leaves its actor object without a connection when the actor is detached", () => {
  const { incarnation, first } = constructed();
  expect(first.send("hello")).toBe("sent");
  incarnation.detachActor();
  expect(first.send("hello")).toBe("closed");
});

it("releases its owner, its actor and its connection when it is abandoned", () => {
  const { incarnation, owner, first } = constructed();
  incarnation.handle(message("hello"));
  const release = vi.spyOn(scopes, "release");
  incarnation.abandon();
  expect(release).toHaveBeenCalledWith(incarnation);
  expect(incarnation.isConstructed).toBe(false);
  expect(incarnation.is(first)).toBe(false);
  expect(first.send("late")).toBe("closed");
  // No actor takes the failure any more: the shard reports the failure without an actor.
  expect(first.fail(new Error("late"))).toBe(false);
  expect(owner.detachedFailed).not.toHaveBeenCalled();
});

it("enters its scope once for all messages of a read, and another scope after a restart", () => {
  const { incarnation, owner, first } = constructed();
  incarnation.handle(message("a first one, which leaves its scope"));
  const ids: number[] = [];
  const read = (): void => {
    const received = (text: string): void => {
      incarnation.handle(message(text));
      ids.push(executionAsyncId());
    };
    received("one");
    received("two");
    const fail = first.fail;
    incarnation.retire();
    incarnation.handle(RESTART);
    received("three");
    fail(new Error("of the old object"));
    Plain.objects[1]?.fail(new Error("of the new object"));
  };
  const outside = executionAsyncId();
  incarnation.enter(read, undefined);
  expect(new Set(ids).size).toBe(1);
  expect(ids[0]).not.toBe(outside);
  expect(executionAsyncId()).toBe(outside);
  expect(owner.detachedFailed.mock.calls.map(([error, replaced]) => [(error as Error).message, replaced])).toEqual([
    ["of the old object", true],
    ["of the new object", false],
  ]);
});

it("calls no handler, and creates no scope, for `opened` and `closed` of a class that has none of its own", () => {
  const { incarnation } = create(class extends Actor {});
  incarnation.construct();
  const [opening, created] = [vi.spyOn(Actor.prototype, "opened"), vi.spyOn(scopes, "create")];
  incarnation.handle(OPENING);
  incarnation.handle(CLOSING);
  expect(opening).not.toHaveBeenCalled();
  expect(created).not.toHaveBeenCalled();
  vi.restoreAllMocks();
});
