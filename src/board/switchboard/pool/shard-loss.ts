/** Why a shard ended unexpectedly, in the words of the `shardLost` event. */
import { type ErrorCode, type ErrorReport, reportError, reviveError, SwitchboardError } from "../../../errors.ts";

/**
 * Reason why a shard ended unexpectedly:
 *
 * - `crashed`: an uncaught error, or the shard couldn't start.
 * - `outOfMemory`: the shard reached its `resourceLimits`.
 * - `unresponsive`: its event loop was blocked for `shardTimeoutMs`.
 * - `notReady`: it wasn't ready within `startTimeoutMs`.
 * - `exited`: something in it called `process.exit`.
 * - `terminated`: the main thread ended it.
 */
export type ShardLossReason = "crashed" | "outOfMemory" | "unresponsive" | "notReady" | "exited" | "terminated";

/** A shard that ended unexpectedly. */
export interface ShardLoss {
  readonly shard: number;
  readonly reason: ShardLossReason;
  /** Number of connections that ended with the shard. */
  readonly connections: number;
  readonly error: Error;
}

export type LossCause = Pick<ShardLoss, "reason" | "error">;

/**
 * piscina reports a thread that ended without an error by an error that has neither a code nor a field for the exit
 * code, so the message is the only source. The test of this file runs a real thread and fails when a version of piscina
 * words the message differently.
 */
const EXITED = /^worker exited with code: (-?\d+)$/;

/** Returns the exit code that the message of piscina names; undefined for any other error. */
export function exitCodeOf(error: Error): number | undefined {
  const [, code] = EXITED.exec(error.message) ?? [];
  return code === undefined ? undefined : Number(code);
}

/** Explains the rejection of a thread's task. */
export function explainRejection(thrown: unknown): LossCause {
  // Code may throw a value that isn't an error.
  const error = thrown instanceof Error ? thrown : reviveError(reportError(thrown));
  if ("code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY") return { reason: "outOfMemory", error };
  const code = exitCodeOf(error);
  if (code === undefined) return { reason: "crashed", error };
  return { reason: "exited", error: lost("ERR_SHARD_EXITED", `the shard's thread exited with code ${code}`) };
}

/** Explains the return of a thread's task: the shard couldn't start, or stopped without being told to. */
export function explainReturn(failure: ErrorReport | undefined): LossCause {
  // The pool takes a thrown null for no error.
  const error = failure ? reviveError(failure) : lost("ERR_SHARD_LOST", "the shard's thread ended");
  return { reason: "crashed", error };
}

/** Explains a pulse that stood still. */
export function explainSilence(): LossCause {
  const message = "the shard's event loop stood still for longer than shardTimeoutMs";
  return { reason: "unresponsive", error: lost("ERR_SHARD_UNRESPONSIVE", message) };
}

/** Explains a shard that wasn't ready in time. */
export function explainSlowStart(startTimeoutMs: number): LossCause {
  const message = `the shard didn't take connections within startTimeoutMs (${startTimeoutMs} ms): does a top-level await of an actor module never end?`;
  return { reason: "notReady", error: lost("ERR_START_TIMEOUT", message) };
}

/** Explains an end by the main thread. */
export function explainTermination(): LossCause {
  return { reason: "terminated", error: lost("ERR_SHARD_TERMINATED", "the shard's thread was ended") };
}

function lost(code: ErrorCode, message: string): SwitchboardError {
  return new SwitchboardError(code, message);
}
