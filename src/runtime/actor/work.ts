/** The work of an actor: each piece is one call of a handler. `ActorCell` queues it, and `Incarnation` does it. */
import type { Message } from "../../wire/protocol/message.ts";
import type { ActorTimer } from "./actor-timers.ts";
import type { Mail } from "./mail.ts";

export type HandlerName =
  | "constructor"
  | "opened"
  | "received"
  | "mailed"
  | "timer"
  | "shuttingDown"
  | "restarted"
  | "closed"
  /** No handler: a promise that some handler created and left alone. */
  | "detached";

/** Replacement of a failed actor object by another one. */
export interface Restart {
  readonly kind: "restart";
  readonly error: unknown;
}

/** End of the connection. */
export interface Ending {
  readonly kind: "closing";
  readonly code: number;
  readonly reason: string;
}

/** Work for an actor. */
export type Work = Message | Mail | ActorTimer | Restart | Ending | { readonly kind: "opening" | "shuttingDown" };

export const OPENING: Work = { kind: "opening" };
export const SHUTTING_DOWN: Work = { kind: "shuttingDown" };
