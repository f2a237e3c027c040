import { expect, it, onTestFinished, vi } from "vitest";
import { Counters } from "../../../src/runtime/stats/counters.ts";
import { createMeterMemory, EventLoopMeter, EventLoopReader } from "../../../src/runtime/stats/event-loop-meter.ts";

function start() {
  const pulse = createMeterMemory();
  const counters = new Counters();
  const meter = new EventLoopMeter(pulse, counters);
  onTestFinished(() => meter.stop());
  return { meter, counters, reader: new EventLoopReader(pulse) };
}

function block(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

it("reads 0 before it is started", () => {
  const { reader, counters } = start();
  expect(reader.delayMs).toBe(0);
  expect(counters.get("eventLoopDelayMs")).toBe(0);
});

it("shows a growing delay while the loop is blocked", () => {
  const { meter, reader } = start();
  meter.start();
  block(400);
  const some = reader.delayMs;
  block(400);
  // At least (1 - e^-0.4) * 300 and (1 - e^-0.8) * 700.
  expect(some).toBeGreaterThanOrEqual(98);
  expect(reader.delayMs).toBeGreaterThanOrEqual(385);
});

it("stores the measured delay in the counter, and lets it decay", async () => {
  const { meter, reader, counters } = start();
  meter.start();
  block(600);
  await vi.waitFor(() => expect(counters.get("eventLoopDelayMs")).toBeGreaterThan(200), { interval: 10 });
  await vi.waitFor(() => {
    expect(counters.get("eventLoopDelayMs")).toBeLessThan(100);
    expect(reader.delayMs).toBeLessThan(200);
  });
});
