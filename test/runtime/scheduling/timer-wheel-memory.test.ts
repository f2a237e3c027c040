import v8 from "node:v8";
import vm from "node:vm";
import { expect, it, onTestFinished } from "vitest";
import { type Timed, TimerWheel } from "../../../src/runtime/scheduling/timer-wheel.ts";

v8.setFlagsFromString("--expose-gc");
const gc = vm.runInNewContext("gc") as (options?: { type: "minor" | "major" }) => void;

const TIMERS = 20_000;
const MAX_SCHEDULED = 50;
const NUMBERS = 100;

class Alarm implements Timed {
  deadline: number | undefined;
  place = -1;
  readonly numbers = new Array(NUMBERS).fill(0.5);
  expired(): void {}
}

it("lets go of cancelled timers without a collection of the whole heap", () => {
  const wheel = new TimerWheel(1_000);
  onTestFinished(() => wheel.stop());
  gc({ type: "major" });
  const before = process.memoryUsage().heapUsed;
  const scheduled: Alarm[] = [];
  for (let i = 0; i < TIMERS; i++) {
    const alarm = new Alarm();
    wheel.schedule(alarm, 1_000);
    if (scheduled.push(alarm) > MAX_SCHEDULED) wheel.cancel(scheduled.shift() as Alarm);
  }
  gc({ type: "minor" });
  gc({ type: "minor" });
  expect(process.memoryUsage().heapUsed - before).toBeLessThan((TIMERS * NUMBERS * 8) / 4);
});
