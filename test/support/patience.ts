/** The timeout of `vi.waitFor` in all tests. */
import { vi } from "vitest";

/**
 * Shortest timeout of `vi.waitFor`, in ms. It only ends tests that would never end: a test may be slow on a busy
 * machine, but not wrong.
 */
const PATIENCE_MS = 60_000;

const waitFor = vi.waitFor;

/**
 * Gives `vi.waitFor`, which by default gives up after one second, this timeout. Runs before each test file, see
 * `vitest.config.ts`.
 */
vi.waitFor = (callback, options = {}) => {
  const given = typeof options === "number" ? { timeout: options } : options;
  return waitFor(callback, { ...given, timeout: Math.max(given.timeout ?? 0, PATIENCE_MS) });
};
