import { afterEach, expect, it, vi } from "vitest";
import { DeadlineClock } from "../../../../src/server/client/timing/deadline-clock.ts";
import { Deadlines } from "../../../../src/server/client/timing/deadlines.ts";

afterEach(() => vi.useRealTimers());

class Client {
  readonly server: { readonly clock: DeadlineClock };
  readonly calls: string[] = [];
  readonly deadlines = new Deadlines<Client>(this);

  constructor(clock: DeadlineClock) {
    this.server = { clock };
  }

  after(delayMs: number, callback: () => unknown): () => void {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  }
}

function setUp(): Client & { readonly clock: DeadlineClock } {
  vi.useFakeTimers();
  const clock = new DeadlineClock();
  return Object.assign(new Client(clock), { clock });
}

/** Lets a time pass, with what a timer may be late: a millisecond, a 32nd, and the turn of the handler. */
async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(Math.ceil(ms + ms / 32) + 2);
}

function call(name: string): (client: Client) => void {
  return ({ calls }) => calls.push(name);
}

it("calls deadlines in their order, never early", async () => {
  const { deadlines, calls, clock } = setUp();
  deadlines.set("late", 300, call("late"));
  deadlines.set("soon", 100, call("soon"));
  await vi.advanceTimersByTimeAsync(99);
  expect(calls).toEqual([]);
  await pass(1);
  await pass(10);
  expect(calls).toEqual(["soon"]);
  await vi.advanceTimersByTimeAsync(150);
  expect(calls).toEqual(["soon"]);
  await pass(60);
  expect(calls).toEqual(["soon", "late"]);
  expect(clock.timers).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
});

it("a deadline that is set again counts from then on", async () => {
  const { deadlines, calls } = setUp();
  deadlines.set("ping", 100, call("first"));
  await vi.advanceTimersByTimeAsync(50);
  deadlines.set("ping", 100, call("second"));
  await pass(50);
  expect(calls).toEqual([]);
  await pass(50);
  expect(calls).toEqual(["second"]);
});

it("calls nothing for a deadline that was deleted, and nothing after clear", async () => {
  const { deadlines, calls, clock } = setUp();
  deadlines.set("stale", 100, call("stale"));
  deadlines.set("ping", 200, call("ping"));
  deadlines.delete("stale");
  await pass(100);
  expect(calls).toEqual([]);
  deadlines.clear();
  expect(clock.timers).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
});

it("a callback may set a deadline that is sooner than those that are left", async () => {
  const { deadlines, calls } = setUp();
  deadlines.set("expiry", 1_000, call("expiry"));
  deadlines.set("ping", 100, () => deadlines.set("pong", 50, call("pong")));
  await pass(100);
  await pass(50);
  expect(calls).toEqual(["pong"]);
});

it("goes on with the other deadlines after a callback that throws", async () => {
  const { deadlines, calls, clock } = setUp();
  const failed = Promise.withResolvers<unknown>();
  const after = (delayMs: number, callback: () => unknown): (() => void) => {
    setTimeout(() => Promise.resolve(callback()).catch(failed.resolve), delayMs);
    return () => {};
  };
  const failing = new Deadlines({ server: { clock }, after });
  failing.set("first", 10, () => {
    throw new Error("on purpose");
  });
  failing.set("second", 100, () => calls.push("second"));
  await pass(10);
  expect(await failed.promise).toEqual(new Error("on purpose"));
  await pass(100);
  expect(calls).toEqual(["second"]);
  deadlines.clear();
});

it("many clients that are due within half a second share a timer", async () => {
  const { server } = setUp();
  const clients = Array.from({ length: 1_000 }, () => new Client(server.clock));
  for (const [index, { deadlines }] of clients.entries()) deadlines.set("ping", 25_000 + index, call("ping"));
  expect(server.clock.timers).toBeLessThanOrEqual(3);
  await pass(26_000);
  for (const { calls } of clients) expect(calls).toEqual(["ping"]);
});

it("waits longer than one timer of Node can", async () => {
  const { deadlines, calls } = setUp();
  const days = 24 * 60 * 60 * 1_000;
  deadlines.set("expiry", 30 * days, call("expiry"));
  await vi.advanceTimersByTimeAsync(29.9 * days);
  expect(calls).toEqual([]);
  await vi.advanceTimersByTimeAsync(0.2 * days);
  expect(calls).toEqual(["expiry"]);
});
