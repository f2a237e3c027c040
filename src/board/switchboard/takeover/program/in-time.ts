/** Calls a function of the main program, which may throw or hang. `ProgramSource` and `ProgramSink` do. */
import { SwitchboardError } from "../../../../errors.ts";

/**
 * Calls a function within this call, and resolves with its result. Rejects with what it throws, as an `Error`, and with
 * `ERR_TAKEOVER_TIMEOUT` if the result isn't there in time: a function that blocks its thread can't be given up.
 *
 * @param name name of the function in messages
 */
export async function callInTime(name: string, call: () => unknown, limitMs: number): Promise<unknown> {
  const slow = Promise.withResolvers<never>();
  const message = `${name} of the option takeover took longer than ${limitMs} ms`;
  const timer = setTimeout(() => slow.reject(new SwitchboardError("ERR_TAKEOVER_TIMEOUT", message)), limitMs);
  try {
    return await Promise.race([call(), slow.promise]);
  } catch (thrown) {
    throw thrown instanceof Error ? thrown : new Error(`${name} of the option takeover threw ${String(thrown)}`);
  } finally {
    clearTimeout(timer);
  }
}
