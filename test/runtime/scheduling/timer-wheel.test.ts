import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { type Timed, TimerWheel } from "../../../src/runtime/scheduling/timer-wheel.ts";

const TICK_MS = 10;
/** One turn of the wheel. Longer delays take several turns. */
const TURN_MS = 512 * TICK_MS;

class Alarm implements Timed {
  deadline: number | undefined;
  place = -1;
  readonly expiredAt: number[] = [];
  readonly #react: () => void;

  constructor(react: () => void = () => {}) {
    this.#react = react;
  }

  expired(): void {
    this.expiredAt.push(performance.now());
    this.#react();
  }
}

function startWheel(): TimerWheel {
  const wheel = new TimerWheel(TICK_MS);
  onTestFinished(() => wheel.stop());
  return wheel;
}

describe("a timer wheel", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "setImmediate", "clearImmediate", "performance"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it.each([0, 1, 9, 10, 11, 25, 100, TURN_MS - 10, TURN_MS, TURN_MS + 1, 3 * TURN_MS + 7])(
    "expires a deadline of %i ms not early and at most two ticks late, once",
    (delayMs) => {
      const wheel = startWheel();
      const alarm = new Alarm();
      wheel.schedule(alarm, delayMs);
      vi.advanceTimersByTime(5 * TURN_MS);
      expect(alarm.expiredAt).toHaveLength(1);
      expect(alarm.expiredAt[0]).toBeGreaterThanOrEqual(delayMs);
      expect(alarm.expiredAt[0]).toBeLessThanOrEqual(Math.max(TICK_MS, delayMs) + 2 * TICK_MS);
    },
  );

  it("expires many deadlines in their order, in whatever order they are set", () => {
    const plan = fc.array(
      fc.record({ afterMs: fc.integer({ min: 0, max: 200 }), delayMs: fc.integer({ min: 0, max: 2 * TURN_MS }) }),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(plan, (steps) => {
        const wheel = new TimerWheel(TICK_MS);
        const alarms = steps.map(({ afterMs, delayMs }) => {
          vi.advanceTimersByTime(afterMs);
          const alarm = new Alarm();
          wheel.schedule(alarm, delayMs);
          return { alarm, dueAt: performance.now() + delayMs };
        });
        vi.advanceTimersByTime(3 * TURN_MS);
        wheel.stop();
        for (const { alarm, dueAt } of alarms) {
          expect(alarm.expiredAt).toHaveLength(1);
          expect(alarm.expiredAt[0]).toBeGreaterThanOrEqual(dueAt);
          expect(alarm.expiredAt[0]).toBeLessThanOrEqual(dueAt + 3 * TICK_MS);
        }
      }),
      { numRuns: 50 },
    );
  });

  it("has no deadline after it has expired", () => {
    const wheel = startWheel();
    const alarm = new Alarm();
    wheel.schedule(alarm, 50);
    expect(alarm.deadline).toBeDefined();
    vi.advanceTimersByTime(100);
    expect(alarm.deadline).toBeUndefined();
  });

  it("doesn't expire a cancelled deadline", () => {
    const wheel = startWheel();
    const alarm = new Alarm();
    wheel.schedule(alarm, 50);
    wheel.cancel(alarm);
    expect(alarm.deadline).toBeUndefined();
    vi.advanceTimersByTime(TURN_MS);
    expect(alarm.expiredAt).toEqual([]);
  });

  it("ignores a second cancel, and a cancel of what was never scheduled", () => {
    const wheel = startWheel();
    const alarm = new Alarm();
    wheel.cancel(alarm);
    wheel.schedule(alarm, 50);
    wheel.cancel(alarm);
    wheel.cancel(alarm);
    expect(alarm.deadline).toBeUndefined();
  });

  it.each([
    ["later", 50, 500],
    ["earlier", 500, 50],
  ])("keeps only the newest deadline when that is %s", (_, firstMs, secondMs) => {
    const wheel = startWheel();
    const alarm = new Alarm();
    wheel.schedule(alarm, firstMs);
    wheel.schedule(alarm, secondMs);
    vi.advanceTimersByTime(TURN_MS);
    expect(alarm.expiredAt).toHaveLength(1);
    expect(alarm.expiredAt[0]).toBeGreaterThanOrEqual(secondMs);
    expect(alarm.expiredAt[0]).toBeLessThanOrEqual(secondMs + 2 * TICK_MS);
  });

  it("accepts a new deadline for a timer that has just expired", () => {
    const wheel = startWheel();
    const alarm: Alarm = new Alarm(() => {
      if (alarm.expiredAt.length < 3) wheel.schedule(alarm, 100);
    });
    wheel.schedule(alarm, 100);
    vi.advanceTimersByTime(TURN_MS);
    expect(alarm.expiredAt).toHaveLength(3);
  });

  it("accepts a deadline of a whole turn for a timer that has just expired, in the same slot", () => {
    const wheel = startWheel();
    const alarm: Alarm = new Alarm(() => {
      if (alarm.expiredAt.length < 2) wheel.schedule(alarm, TURN_MS - TICK_MS);
    });
    wheel.schedule(alarm, 100);
    vi.advanceTimersByTime(2 * TURN_MS);
    expect(alarm.expiredAt).toHaveLength(2);
  });

  it("doesn't expire a timer that another timer of the same tick cancels", () => {
    const wheel = startWheel();
    const alarms: readonly Alarm[] = [0, 1, 2].map(
      (own) => new Alarm(() => alarms.forEach((alarm, i) => void (i === own || wheel.cancel(alarm)))),
    );
    for (const alarm of alarms) wheel.schedule(alarm, 50);
    vi.advanceTimersByTime(TURN_MS);
    expect(alarms.flatMap(({ expiredAt }) => expiredAt)).toHaveLength(1);
  });

  it("expires nothing after it is stopped", () => {
    const wheel = startWheel();
    const alarm = new Alarm();
    wheel.schedule(alarm, 50);
    wheel.stop();
    vi.advanceTimersByTime(TURN_MS);
    expect(alarm.expiredAt).toEqual([]);
  });

  it("counts its ticks by the clock", () => {
    const wheel = startWheel();
    expect(wheel.now).toBe(0);
    vi.advanceTimersByTime(1_009);
    expect(wheel.now).toBe(100);
  });
});

describe("a timer wheel in a thread that was blocked", () => {
  /** Blocking time: long compared with the tick, and with other delays of the event loop. */
  const BLOCKED_MS = 300;

  function block(): void {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BLOCKED_MS);
  }

  it("expires every deadline afterwards", async () => {
    const wheel = startWheel();
    const expired = [10, 100, 200].map((delayMs) => {
      const done = Promise.withResolvers<void>();
      wheel.schedule(new Alarm(done.resolve), delayMs);
      return done.promise;
    });
    block();
    expect(wheel.now).toBe(0);
    await Promise.all(expired);
    expect(wheel.now).toBeLessThan(BLOCKED_MS / TICK_MS);
  });

  it("isn't early for a deadline that is set before the wheel has caught up", async () => {
    const wheel = startWheel();
    block();
    const done = Promise.withResolvers<void>();
    const scheduledAt = performance.now();
    wheel.schedule(new Alarm(done.resolve), 100);
    await done.promise;
    // Timers of Node count whole milliseconds: up to one early.
    expect(performance.now() - scheduledAt).toBeGreaterThan(100 - 1);
  });
});
