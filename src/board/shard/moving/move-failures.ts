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

/** A move that has begun and failed: the reason, or the error of `suspended` or of what it returned. */
export type MoveFailure = StayReason | SwitchboardError;

/** Destination of a move: another shard, the new thread of its shard, or another process. */
export type Destination = "shard" | "thread" | "process";

/** Fate of a connection that can't go, by its destination. */
const CONSEQUENCES: Record<Destination, string> = {
  shard: "a connection stays in its shard",
  thread: "a connection couldn't go to the new thread of its shard, and is closed with 1012 when the old thread ends",
  process: "a connection couldn't go to the new process, and is closed with 1012 if the takeover succeeds",
};

/** The reasons that a move may fail for once it has begun, in words. */
const EXPLANATIONS: Partial<Record<StayReason, string>> = {
  busy: "a handler of its actor was under way for too long, or it is moving already",
  failed: "its actor's suspended took too long",
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
  failure: MoveFailure,
  destination: Destination,
): void {
  const reason = stayReasonOf(failure);
  if (SILENT.has(reason)) return;
  counters.add("movesFailed");
  const error = reason === "state" && typeof failure !== "string" ? failure : moveFailed(failure, destination);
  events.report("moveFailed", { id: address, actor, reason, error: reportError(error) });
}

export function stayReasonOf(failure: MoveFailure): StayReason {
  if (typeof failure === "string") return failure;
  return failure instanceof SuspendedThrew ? "failed" : "state";
}

function moveFailed(failure: MoveFailure, destination: Destination): SwitchboardError {
  const consequence = CONSEQUENCES[destination];
  if (typeof failure === "string") {
    return new SwitchboardError("ERR_MOVE_FAILED", `${consequence}: ${EXPLANATIONS[failure] ?? failure}`);
  }
  const { message, cause } = failure;
  return new SwitchboardError("ERR_MOVE_FAILED", `${consequence}: ${message}`, { cause });
}

/** An actor's `suspended` threw or rejected. */
export class SuspendedThrew extends SwitchboardError {
  /** @param thrown what `suspended` threw */
  constructor(thrown: unknown) {
    const { message } = reportError(thrown);
    super("ERR_MOVE_FAILED", `its actor's suspended threw: ${message}`, { cause: thrown });
  }
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
