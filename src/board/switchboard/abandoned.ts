/** The reason of an aborted call. `start` and `listen` use it. */
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
