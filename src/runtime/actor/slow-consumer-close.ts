/**
 * The close of a peer that reads too slowly, by the choice of an actor class. Connections and the loader of modules use
 * it.
 */
import { SwitchboardError } from "../../errors.ts";
import { checkClose } from "../../wire/protocol/check-close.ts";
import { CloseCode } from "../../wire/protocol/close-code.ts";

/** Code and reason with which a peer that reads too slowly is closed: see `Actor.slowConsumerClose`. */
export interface SlowConsumerClose {
  /** 1000 to 1003, 1007 to 1014, or 3000 to 4999. */
  readonly code: number;
  /** At most 123 bytes of UTF-8. */
  readonly reason: string;
}

export const DEFAULT_SLOW_CONSUMER_CLOSE: SlowConsumerClose = Object.freeze({
  code: CloseCode.tryAgainLater,
  reason: "reads too slowly",
});

/** Returns the choice of an actor class. Throws `ERR_SLOW_CONSUMER_CLOSE`. */
export function slowConsumerCloseOf(actorClass: object): SlowConsumerClose {
  const given: unknown = "slowConsumerClose" in actorClass ? actorClass.slowConsumerClose : DEFAULT_SLOW_CONSUMER_CLOSE;
  if (typeof given !== "object" || given === null || !("code" in given) || !("reason" in given)) {
    throw misfit("takes { code, reason }");
  }
  const { code, reason } = given;
  if (typeof code !== "number" || typeof reason !== "string") throw misfit("takes { code, reason }");
  try {
    checkClose(code, reason);
  } catch (error) {
    throw misfit(error instanceof Error ? error.message : String(error), error);
  }
  return { code, reason };
}

function misfit(what: string, cause?: unknown): SwitchboardError {
  return new SwitchboardError("ERR_SLOW_CONSUMER_CLOSE", `the actor class's static slowConsumerClose: ${what}`, {
    cause,
  });
}
