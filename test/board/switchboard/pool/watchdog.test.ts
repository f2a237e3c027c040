import { setImmediate as turn } from "node:timers/promises";
import { expect, it, onTestFinished, vi } from "vitest";
import { Watchdog } from "../../../../src/board/switchboard/pool/watchdog.ts";
import { Pulse } from "../../../../src/runtime/stats/pulse.ts";

const TIMEOUT_MS = 200;

function watch() {
  const silent = vi.fn();
  const watchdog = new Watchdog({ timeoutMs: TIMEOUT_MS, silent });
  onTestFinished(() => watchdog.stop());
  return { silent, watchdog };
}

function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

it("reports once that the pulse has stopped", async () => {
  const { silent, watchdog } = watch();
  watchdog.started();
  await vi.waitFor(() => expect(silent).toHaveBeenCalledOnce());
  // A second report would have come by now: another watchdog has reported in the same time.
  const other = watch();
  other.watchdog.started();
  await vi.waitFor(() => expect(other.silent).toHaveBeenCalledOnce());
  expect(silent).toHaveBeenCalledOnce();
});

it("reports nothing while the pulse beats", async () => {
  const { silent, watchdog } = watch();
  watchdog.started();
  const beating = new Pulse(watchdog.pulse).start();
  onTestFinished(() => clearInterval(beating));
  const clock = watch();
  clock.watchdog.started();
  await vi.waitFor(() => expect(clock.silent).toHaveBeenCalledOnce());
  expect(silent).not.toHaveBeenCalled();
  clearInterval(beating);
  await vi.waitFor(() => expect(silent).toHaveBeenCalledOnce());
});

it("doesn't count time in which its own thread was blocked", async () => {
  const { silent, watchdog } = watch();
  watchdog.started();
  for (let i = 0; i < 3; i++) {
    block(TIMEOUT_MS);
    // Timers that are due run between turns.
    await turn();
    await turn();
  }
  expect(silent).not.toHaveBeenCalled();
  await vi.waitFor(() => expect(silent).toHaveBeenCalledOnce());
});

it("gives a starting shard more time", async () => {
  const { silent } = watch();
  const clock = watch();
  clock.watchdog.started();
  await vi.waitFor(() => expect(clock.silent).toHaveBeenCalledOnce());
  expect(silent).not.toHaveBeenCalled();
});

it.each([
  [10, 1],
  [1, 1],
  [500, 50],
  [10_000, 1_000],
  [60_000, 1_000],
])("with a timeout of %i ms expects a beat every %i ms", (timeoutMs, intervalMs) => {
  const watchdog = new Watchdog({ timeoutMs, silent: () => {} });
  watchdog.stop();
  expect(watchdog.pulse.intervalMs).toBe(intervalMs);
});
