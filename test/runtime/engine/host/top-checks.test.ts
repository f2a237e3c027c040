import { expect, it, onTestFinished, vi } from "vitest";
import { HostTopic } from "../../../../src/runtime/engine/host/host-topics.ts";
import { TopChecks } from "../../../../src/runtime/engine/host/top-checks.ts";
import { FairScheduler } from "../../../../src/runtime/scheduling/fair-scheduler.ts";

/** Checks these topics while a minute of fake time passes, and returns the number of checks of each. */
async function checksInAMinute(count: number): Promise<number[]> {
  vi.useFakeTimers({ toFake: ["setInterval"] });
  onTestFinished(() => void vi.useRealTimers());
  const topics = new Map<string, HostTopic<unknown>>();
  for (let index = 0; index < count; index++) topics.set(`${index}`, new HostTopic(`${index}`, Promise.resolve()));
  const checked = new Map<string, number>();
  const check = async ({ name }: HostTopic<unknown>): Promise<void> => {
    checked.set(name, (checked.get(name) ?? 0) + 1);
  };
  const checks = new TopChecks(topics, check, new FairScheduler());
  onTestFinished(() => checks.stop());
  for (let second = 0; second < 60; second++) {
    vi.advanceTimersByTime(1_000);
    // The checks of a second are made in the turns that follow.
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  return [...topics.keys()].map((name) => checked.get(name) ?? 0);
}

it.for([1, 3, 100])("each of %i topics is checked every 30 seconds, and not more often", async (count) => {
  for (const checks of await checksInAMinute(count)) {
    expect(checks).toBeGreaterThanOrEqual(1);
    expect(checks).toBeLessThanOrEqual(3);
  }
});
