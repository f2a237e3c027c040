/** Errors of Redis in one form: a code, one sentence that says what to check, and no secret. */
import { SwitchboardError } from "../../errors.ts";
import type { Address } from "./options.ts";

/** Makes the error of a call whose effect isn't known, or that had none, because Redis can't be reached. */
export function unavailable(reason: string, cause?: unknown): SwitchboardError {
  const message = `Redis can't be used: ${reason}`;
  return new SwitchboardError("ERR_ENGINE_UNAVAILABLE", message, cause === undefined ? {} : { cause });
}

/** Errors of calls that Redis has certainly not run. */
const notRun = new WeakSet<Error>();

/** Makes the error of a call that Redis hasn't run. */
export function refused(reason: string, cause?: unknown): SwitchboardError {
  const error = unavailable(reason, cause);
  notRun.add(error);
  return error;
}

/** True if the call may have had its effect. */
export function mayHaveRun(error: unknown): boolean {
  return !(error instanceof Error && notRun.has(error));
}

/** Errors with which Redis answers instead of running a command. */
const REFUSALS =
  /^(?:MOVED|ASK|TRYAGAIN|CLUSTERDOWN|READONLY|LOADING|MASTERDOWN|BUSY|NOSCRIPT|NOAUTH|SWITCHBOARDSTALE)\b/;

export function full(reason: string, cause?: unknown): SwitchboardError {
  return new SwitchboardError("ERR_ENGINE_FULL", reason, cause === undefined ? {} : { cause });
}

export const OUT_OF_MEMORY = "Redis is out of memory and refuses to store: give it more (maxmemory), or keep less";

/** Errors of calls that Redis has refused because it is out of memory. */
const outOfMemory = new WeakSet<Error>();

export function isOutOfMemory(error: unknown): boolean {
  return error instanceof Error && outOfMemory.has(error);
}

/** Converts what a command was rejected with. The message of a publish says whether the publication was stored. */
export function failureOf(error: unknown): SwitchboardError {
  if (error instanceof SwitchboardError) return error;
  const message = messageOf(error);
  if (/^OOM\b/.test(message) || message.includes("-OOM ")) {
    const failure = full(OUT_OF_MEMORY, error);
    outOfMemory.add(failure);
    return failure;
  }
  return REFUSALS.test(message) ? refused(message, error) : unavailable(message, error);
}

/** Returns the message of an error without a full stop at its end, so that it fits into a sentence. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Node tries each address of a name, and puts the errors together under an empty message.
  if (error instanceof AggregateError && error.message === "") return error.errors.map(messageOf).join("; ");
  // The message of OpenSSL has line numbers of its source.
  if ("library" in error && "reason" in error) return `${error.library}: ${error.reason}`;
  return error.message.replace(/\.?\s*$/, "");
}

export function nameOf({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
