/** Calls that a signal ends early. `start` and `listen` use them. */
import { SwitchboardError } from "../../errors.ts";

/**
 * Throws if the signal is aborted: its reason if that is a `SwitchboardError`, else `ERR_ABORTED` with the reason as
 * cause.
 */
export function throwIfAbandoned(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  const { reason: cause } = signal;
  if (cause instanceof SwitchboardError) throw cause;
  throw new SwitchboardError("ERR_ABORTED", "the signal was aborted", { cause });
}

/**
 * Waits for work, but not longer than until the signal is aborted: rejects then as `throwIfAbandoned` throws. The work
 * itself goes on.
 */
export async function unlessAbandoned<T>(signal: AbortSignal | undefined, work: Promise<T>): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal?.reason);
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort);
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal?.removeEventListener("abort", abort);
    throwIfAbandoned(signal);
  }
}
