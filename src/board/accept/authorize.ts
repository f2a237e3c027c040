import type { IncomingMessage } from "node:http";
import { SwitchboardError } from "../../errors.ts";
import type { Params } from "../../runtime/actor/actor.ts";
import type { UpgradeRefusal } from "../../wire/upgrade/response.ts";

/** Lets the connection in. The session is `this.session` in the shard: a clone, unless the shard does the handshake itself. */
export interface Admission<Session> {
  readonly session: Session;
}

/**
 * Decides on one handshake, after it was found well-formed and before it is answered: `{ session }` lets it in, `{ status, headers, body }`
 * refuses it. What it throws, and any other value, is answered with 500 and reported: nobody gets in by mistake.
 */
export type Authorize<Session = unknown> = (
  request: IncomingMessage,
  params: Params,
) => Admission<Session> | UpgradeRefusal | Promise<Admission<Session> | UpgradeRefusal>;

/** Calls `authorize` and checks what it gave. Throws for what it may not give. */
export async function decide(
  authorize: Authorize,
  request: IncomingMessage,
  params: Params,
): Promise<Admission<unknown> | UpgradeRefusal> {
  const verdict: unknown = await authorize(request, params);
  if (typeof verdict === "object" && verdict !== null) {
    if ("session" in verdict) return { session: verdict.session };
    if ("status" in verdict) return verdict as UpgradeRefusal;
  }
  throw new SwitchboardError(
    "ERR_AUTHORIZE",
    `authorize must give { session } or { status, headers, body }, and gave ${verdict === null ? "null" : typeof verdict}`,
  );
}

/** Finds out before the 101 is written what would fail after it. */
export function checkCloneable(session: unknown): void {
  try {
    structuredClone(session);
  } catch (cause) {
    const message =
      "the session that authorize gave can't be cloned to a shard: use plain data, without functions or class instances";
    throw new SwitchboardError("ERR_SESSION_NOT_CLONEABLE", message, { cause });
  }
}
