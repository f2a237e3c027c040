/** Shards that died and aren't started again for as long as a test looks at the board without them. */
import { onTestFinished, vi } from "vitest";

/** Longer than the board waits before it starts a shard again after the first death, in ms. */
const FIRST_RESTART_MS = 1_000;

/**
 * Stops the timers of this thread, from which the board starts dead shards again. Call it before the shard dies. A real
 * restart might be ready on a busy machine before the test has looked.
 *
 * @returns a function that starts the shards
 */
export function holdRestarts(): () => void {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  return () => {
    vi.advanceTimersByTime(FIRST_RESTART_MS);
    vi.useRealTimers();
  };
}
