import { type ErrorCode, type ErrorReport, reportError, reviveError, SwitchboardError } from "../../../errors.ts";

/**
 * Why a shard ended unasked:
 *
 * - `crashed`: an error that nobody caught, or it couldn't start.
 * - `outOfMemory`: it came to its `resourceLimits`.
 * - `unresponsive`: its event loop stood still for `shardTimeoutMs`.
 * - `notReady`: it didn't take connections within `startTimeoutMs`.
 * - `exited`: something in it called `process.exit`.
 * - `terminated`: the main thread ended it.
 */
export type ShardLossReason = "crashed" | "outOfMemory" | "unresponsive" | "notReady" | "exited" | "terminated";

/** A shard that ended unasked. */
export interface ShardLoss {
  readonly shard: number;
  readonly reason: ShardLossReason;
  /** Connections that ended with it. */
  readonly connections: number;
  readonly error: Error;
}

export type LossCause = Pick<ShardLoss, "reason" | "error">;

/** What the pool says, in words only, when a thread ended without an error. */
const EXITED = /^worker exited with code: (-?\d+)$/;

/** What a thread's task was rejected with. */
export function explainRejection(thrown: unknown): LossCause {
  // Also something that is no error can be thrown and never caught.
  const error = thrown instanceof Error ? thrown : reviveError(reportError(thrown));
  if ("code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY") return { reason: "outOfMemory", error };
  const [, code] = EXITED.exec(error.message) ?? [];
  if (code === undefined) return { reason: "crashed", error };
  return { reason: "exited", error: lost("ERR_SHARD_EXITED", `the shard's thread exited with code ${code}`) };
}

/** What a thread's task returned: the shard couldn't start, or stopped without being told to. */
export function explainReturn(failure: ErrorReport | undefined): LossCause {
  // The pool takes a thrown null for no error.
  const error = failure ? reviveError(failure) : lost("ERR_SHARD_LOST", "the shard's thread ended");
  return { reason: "crashed", error };
}

/** That its pulse stood still. */
export function explainSilence(): LossCause {
  const message = "the shard's event loop stood still for longer than shardTimeoutMs";
  return { reason: "unresponsive", error: lost("ERR_SHARD_UNRESPONSIVE", message) };
}

/** The shard was not ready in time. */
export function explainSlowStart(startTimeoutMs: number): LossCause {
  const message = `the shard didn't take connections within startTimeoutMs (${startTimeoutMs} ms): does a top-level await of the actor module never end?`;
  return { reason: "notReady", error: lost("ERR_START_TIMEOUT", message) };
}

/** That the main thread ended it. */
export function explainTermination(): LossCause {
  return { reason: "terminated", error: lost("ERR_SHARD_TERMINATED", "the shard's thread was ended") };
}

function lost(code: ErrorCode, message: string): SwitchboardError {
  return new SwitchboardError(code, message);
}
