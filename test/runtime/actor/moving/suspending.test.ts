import { setImmediate as turn } from "node:timers/promises";
import { expect, it, onTestFinished, vi } from "vitest";
import type { ActorCell } from "../../../../src/runtime/actor/actor-cell.ts";
import type { StayReason, Suspended } from "../../../../src/runtime/actor/moving/suspension.ts";
import { context, log, message, Sync, start } from "../cell.ts";

class Moving extends Sync {
  static override readonly moves = 1;
  override suspended(): unknown {
    log.push("suspended");
    return { from: "before" };
  }
  override resumed(state: unknown, version: number): void {
    log.push(`resumed ${JSON.stringify(state)} ${version}`);
  }
  late(argument: unknown): void {
    log.push(`late ${argument}`);
  }
}

function suspend(cell: ActorCell, limitMs = 60_000): Promise<Suspended | StayReason> {
  return new Promise((done) => cell.suspend(limitMs, 1, done));
}

async function bytesOf(cell: ActorCell): Promise<Uint8Array> {
  const result = await suspend(cell);
  if (typeof result === "string" || result.bytes instanceof Error) throw new Error("not suspended");
  return result.bytes;
}

it("keeps messages, mail and notices in order for the next cell, and gives its own actor nothing more", async () => {
  const { cell, open } = start(Moving);
  open();
  const bytes = await bytesOf(cell);
  cell.deliver(message("one"));
  cell.mail({ kind: "mail", value: { two: 2 }, from: undefined, answer: undefined });
  cell.deliver(message("three"));
  const state = cell.save(bytes);
  expect(state.waiting.map(({ kind }) => kind)).toEqual(["message", "mail", "message"]);
  cell.deliver(message("late"));
  cell.end(1006, "");
  await turn();
  expect(log).toEqual(["opened", "suspended"]);

  const next = start(Moving);
  next.cell.load(Moving, context, structuredClone(state));
  next.cell.deliver(message("four"));
  await turn();
  expect(next.log).toEqual(['resumed {"from":"before"} 1', "one", "dead [object Object]: unhandled", "three", "four"]);
});

it("stays with the same object when the limit passes first", async () => {
  const waiting = Promise.withResolvers<void>();
  class Slow extends Moving {
    override async opened(): Promise<void> {
      await waiting.promise;
      log.push("opened");
    }
  }
  const { cell, open } = start(Slow);
  open();
  expect(await suspend(cell, 1)).toBe("busy");
  waiting.resolve();
  await turn();
  cell.deliver(message("on"));
  expect(log).toEqual(["opened", "on"]);
});

it("ignores what suspended says after the limit", async () => {
  const late = Promise.withResolvers<unknown>();
  class Hanging extends Moving {
    override suspended(): Promise<unknown> {
      return late.promise;
    }
  }
  const { cell, open } = start(Hanging);
  open();
  const result = suspend(cell, 1);
  await turn();
  cell.deliver(message("waits"));
  expect(await result).toBe("failed");
  late.resolve({});
  await turn();
  expect(cell.isSuspended).toBe(false);
  expect(log).toEqual(["opened", "waits"]);
});

it("goes on with another object when it can't leave, and before the end of its connection", async () => {
  const { cell, open } = start(Moving);
  open();
  await suspend(cell);
  cell.deliver(message("one"));
  cell.resumeHere();
  expect(log).toEqual(["opened", "suspended", 'resumed {"from":"before"} 1', "one"]);
  await suspend(cell);
  cell.deliver(message("two"));
  cell.end(1006, "");
  expect(log.slice(4)).toEqual(["suspended", 'resumed {"from":"before"} 1', "two", "closed 1006 "]);
});

it("refuses a second suspension, and one of an actor that has ended", async () => {
  const { cell, open } = start(Moving);
  open();
  await suspend(cell);
  expect(await suspend(cell)).toBe("closing");
  cell.stop();
  cell.end(1000, "");
  expect(await suspend(cell)).toBe("closing");
  expect(log).toEqual(["opened", "suspended", "closed 1000 "]);
});

it("moves timers of methods with the time that is left, and no functions", async () => {
  class Timed extends Moving {
    override opened(): void {
      log.push("opened");
      const { schedule } = { schedule: started.cell.schedule.bind(started.cell, this) };
      schedule(60_000, { method: "late", argument: "again" }, true);
      schedule(0, { method: "late", argument: "once" }, false);
      schedule(0, () => log.push("a function"), false);
    }
  }
  const started = start(Timed);
  started.open();
  const { cell } = started;
  const bytes = await bytesOf(cell);
  const state = cell.save(bytes);
  expect(state.timers).toMatchObject([
    { method: "late", argument: "again", repeatMs: 60_000 },
    { method: "late", argument: "once", repeatMs: undefined },
  ]);
  expect(state.timers[0]?.dueInMs).toBeGreaterThan(50_000);
  const next = start(Timed);
  next.cell.load(Timed, context, structuredClone(state));
  await expect.poll(() => next.log).toContain("late once");
  next.cell.end(1000, "");
  expect(next.log).toEqual(['resumed {"from":"before"} 1', "late once", "closed 1000 "]);
});

it("warns once for each class that timers with a function have ended, and not of timers by name", async () => {
  const warnings: Error[] = [];
  const collect = (warning: Error): void => void warnings.push(warning);
  process.on("warning", collect);
  onTestFinished(() => void process.off("warning", collect));
  class Named extends Moving {
    override opened(): void {
      started.cell.schedule(this, 60_000, { method: "late", argument: 1 }, false);
    }
  }
  class WithFunctions extends Moving {
    override opened(): void {
      started.cell.schedule(this, 60_000, () => {}, false);
    }
  }
  let started = start(Named);
  for (const actorClass of [Named, WithFunctions, WithFunctions]) {
    started = start(actorClass);
    started.open();
    started.cell.save(await bytesOf(started.cell));
  }
  await new Promise((resolve) => setImmediate(resolve));
  expect(warnings).toMatchObject([{ name: "SwitchboardWarning", code: "timersEnded" }]);
  expect(warnings[0]?.message).toContain("WithFunctions");
});

it("cancels timers by name after a move, also a call that waits", async () => {
  class Timed extends Moving {
    override opened(): void {
      const { schedule } = { schedule: started.cell.schedule.bind(started.cell, this) };
      schedule(0, { method: "late", argument: "again" }, false);
      schedule(60_000, { method: "late", argument: "later" }, true);
      schedule(60_000, { method: "suspended", argument: "other" }, true);
    }
    override resumed(): void {
      log.push(`cancelled ${next?.cell.cancelTimers("late")}`);
    }
  }
  const log: string[] = [];
  let next: ReturnType<typeof start> | undefined;
  const started = start(Timed);
  started.open();
  const bytes = await bytesOf(started.cell);
  await vi.waitFor(() => expect(started.cell.timerArguments).toHaveLength(2));
  const state = started.cell.save(bytes);
  expect(state.waiting).toEqual([{ kind: "expired", method: "late", argument: "again" }]);
  next = start(Timed);
  next.cell.load(Timed, context, structuredClone(state));
  expect(log).toEqual(["cancelled 2"]);
  expect(next.cell.timerArguments).toEqual(["other"]);
  next.cell.end(1000, "");
  expect(next.log.filter((one) => one.startsWith("late"))).toEqual([]);
});
