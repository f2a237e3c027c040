import { expect, it, vi } from "vitest";
import { Deadlines } from "../../../src/server/client/deadlines.ts";

/** An actor whose timers run when the test says so. */
class Timers {
  running: { readonly delayMs: number; readonly callback: () => unknown }[] = [];

  after(delayMs: number, callback: () => unknown): () => void {
    const timer = { delayMs, callback };
    this.running.push(timer);
    return () => {
      this.running = this.running.filter((one) => one !== timer);
    };
  }

  /** Runs the timers after a time. */
  async pass(ms: number): Promise<void> {
    vi.advanceTimersByTime(ms);
    const due = this.running;
    this.running = [];
    for (const { callback } of due) await callback();
  }
}

function setUp(): { timers: Timers; deadlines: Deadlines; calls: string[] } {
  vi.useFakeTimers({ toFake: ["performance"] });
  const timers = new Timers();
  return { timers, deadlines: new Deadlines(timers), calls: [] };
}

it("has one timer, for the next deadline", async () => {
  const { timers, deadlines, calls } = setUp();
  deadlines.set("late", 300, () => calls.push("late"));
  deadlines.set("soon", 100, () => calls.push("soon"));
  expect(timers.running.map(({ delayMs }) => delayMs)).toEqual([100]);
  await timers.pass(100);
  expect(calls).toEqual(["soon"]);
  expect(timers.running.map(({ delayMs }) => delayMs)).toEqual([200]);
  await timers.pass(200);
  expect(calls).toEqual(["soon", "late"]);
  expect(timers.running).toEqual([]);
});

it("a deadline that is set again counts from then on", async () => {
  const { timers, deadlines, calls } = setUp();
  deadlines.set("ping", 100, () => calls.push("first"));
  vi.advanceTimersByTime(50);
  deadlines.set("ping", 100, () => calls.push("second"));
  await timers.pass(50);
  expect(calls).toEqual([]);
  await timers.pass(50);
  expect(calls).toEqual(["second"]);
});

it("calls nothing for a deadline that was deleted, and nothing after clear", async () => {
  const { timers, deadlines, calls } = setUp();
  deadlines.set("stale", 100, () => calls.push("stale"));
  deadlines.set("ping", 200, () => calls.push("ping"));
  deadlines.delete("stale");
  await timers.pass(100);
  expect(calls).toEqual([]);
  deadlines.clear();
  expect(timers.running).toEqual([]);
});

it("a callback may set a deadline that is sooner than those that are left", async () => {
  const { timers, deadlines, calls } = setUp();
  deadlines.set("expiry", 1_000, () => calls.push("expiry"));
  deadlines.set("ping", 100, () => deadlines.set("pong", 50, () => calls.push("pong")));
  await timers.pass(100);
  expect(timers.running.map(({ delayMs }) => delayMs)).toEqual([50]);
  await timers.pass(50);
  expect(calls).toEqual(["pong"]);
});
