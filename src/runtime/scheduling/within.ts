/** A wait with a limit. Shards, boards and the server use it. */
import { setTimeout as delay } from "node:timers/promises";

/**
 * Resolves with true when a promise resolves, or with false after a time in ms. Rejects if the promise rejects in time.
 *
 * @param options `ref` false lets the process end meanwhile. Default: true
 */
export async function within(
  limitMs: number,
  promise: Promise<unknown>,
  { ref = true }: { readonly ref?: boolean } = {},
): Promise<boolean> {
  const over = new AbortController();
  const limit = delay(limitMs, false, { signal: over.signal, ref }).catch(() => false);
  try {
    return (await Promise.race([promise.then(() => true), limit])) === true;
  } finally {
    over.abort();
  }
}
