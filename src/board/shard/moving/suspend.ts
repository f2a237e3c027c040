/** Suspends the actor of a connection that is to leave its thread. `Mover` and `Standstill` use it. */
import { setTimeout as delay } from "node:timers/promises";
import { SwitchboardError } from "../../../errors.ts";
import type { StayReason, Suspended } from "../../../runtime/actor/moving/suspension.ts";
import type { Connection } from "../../connection/connection.ts";
import { checkCloneable, type MoveFailure, SuspendedThrew } from "./move-failures.ts";

/** Time between two looks at a connection that can't be suspended yet, in ms. */
const POLL_MS = 10;

/**
 * Time of this thread's clock until which an actor may become idle and be suspended. The caller may bring it forward.
 */
export interface SuspensionLimit {
  readonly untilMs: number;
}

/** Suspends the actor of a connection. Resolves with its state, or with the reason why the connection stays. */
export async function suspend(
  connection: Connection,
  version: number,
  limit: SuspensionLimit,
  stayReason: () => StayReason | undefined,
): Promise<Uint8Array | MoveFailure> {
  await connection.hasArrived;
  for (let reason = stayReason(); reason !== undefined; ) {
    if (reason !== "busy" || performance.now() > limit.untilMs) return reason;
    await delay(POLL_MS);
    reason = stayReason();
  }
  const suspension = Promise.withResolvers<Suspended | MoveFailure>();
  connection.suspend(Math.max(1, limit.untilMs - performance.now()), version, (result, thrown) =>
    suspension.resolve(thrown === undefined ? result : new SuspendedThrew(thrown.error)),
  );
  const suspended = await suspension.promise;
  if (typeof suspended === "string" || suspended instanceof Error) return suspended;
  const { bytes } = suspended;
  const uncloneable = bytes instanceof SwitchboardError ? bytes : checkCloneable(connection);
  const reason = uncloneable ?? stayReason();
  if (reason === undefined && !(bytes instanceof SwitchboardError)) return bytes;
  connection.stay();
  return reason ?? "state";
}
