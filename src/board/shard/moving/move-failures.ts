/**
 * Errors of moves, in words, and the check of what travels with a connection. `Mover`, `Standstill` and `Passing` use
 * them.
 */
import { serialize } from "node:v8";
import { reportError, SwitchboardError } from "../../../errors.ts";
import { checkPlainData } from "../../../runtime/actor/moving/plain-data.ts";
import type { StayReason } from "../../../runtime/actor/moving/suspension.ts";
import type { Connection } from "../../connection/connection.ts";
import type { ConnectionHost } from "../../connection/connection-host.ts";

/** The reasons that a move may fail for once it has begun, in words. */
const EXPLANATIONS: Partial<Record<StayReason, string>> = {
  busy: "a handler of its actor was under way for too long, or it is moving already",
  failed: "its actor's suspended threw, or took too long",
  shard: "the other shard has ended, a thread took too long to answer, or the system has no descriptor left",
};

/** Reasons that are no failure of a move. */
const SILENT: ReadonlySet<StayReason | undefined> = new Set(["closing", "actor", "transport"]);

/**
 * Counts a move that has begun and failed, and emits `moveFailed`. Does nothing for a connection that never could move.
 */
export function reportMoveFailure(
  { counters, events }: ConnectionHost,
  { address, actor }: Connection,
  failure: StayReason | SwitchboardError,
): void {
  const reason = typeof failure === "string" ? failure : "state";
  if (SILENT.has(reason)) return;
  counters.add("movesFailed");
  const error = typeof failure === "string" ? moveFailed(failure) : failure;
  events.report("moveFailed", { id: address, actor, reason, error: reportError(error) });
}

function moveFailed(reason: StayReason): SwitchboardError {
  return new SwitchboardError("ERR_MOVE_FAILED", `a connection stays where it is: ${EXPLANATIONS[reason] ?? reason}`);
}

/** Names, for messages, the values of the application that move with a connection beside the actor's state. */
const TRAVELLING = "the session, arguments of timers, and mail";

/** Checked before anything is taken apart: from then on there is no way back for subscriptions. */
export function checkCloneable(connection: Connection): SwitchboardError | undefined {
  try {
    const values = connection.travellingValues;
    serialize(values);
    checkPlainData(values, TRAVELLING);
    return undefined;
  } catch (cause) {
    return notCloneable(cause);
  }
}

/** The error for what travels and isn't plain data. */
export function notCloneable(cause: unknown): SwitchboardError {
  if (cause instanceof SwitchboardError) return cause;
  const message = `${TRAVELLING} must be plain data, without functions or class instances`;
  return new SwitchboardError("ERR_STATE_NOT_CLONEABLE", message, { cause });
}
