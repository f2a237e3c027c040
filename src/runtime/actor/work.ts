/** The work of an actor: each piece is one call of a handler. `ActorCell` queues it, and `Incarnation` does it. */
import type { Message } from "../../wire/protocol/message.ts";
import type { Position } from "../streams/position.ts";
import type { PresenceEvent } from "../streams/topic-memory.ts";
import type { ActorTimer } from "./actor-timers.ts";
import type { Mail } from "./mail.ts";

export type HandlerName =
  | "constructor"
  | "opened"
  | "received"
  | "mailed"
  | "timer"
  | "streamLost"
  | "presenceChanged"
  /** No handler: the `encode` of a subscription. */
  | "encode"
  | "shuttingDown"
  | "suspended"
  | "resumed"
  | "restarted"
  | "closed"
  /** No handler: a promise that some handler created and left alone. */
  | "detached";

/** Replacement of a failed actor object by another one. */
export interface Restart {
  readonly kind: "restart";
  readonly error: unknown;
}

/** A new actor object in the place of one that was suspended, here or in another thread. */
export interface Resume {
  readonly kind: "resume";
  /** Result of `suspended`. */
  readonly state: unknown;
  /** `static moves` of the class that returned it. */
  readonly version: number;
}

/** End of the connection. */
export interface Ending {
  readonly kind: "closing";
  readonly code: number;
  readonly reason: string;
}

/** News of a topic that the actor is subscribed to. */
export type Notice =
  | { readonly kind: "notice"; readonly handler: "streamLost"; readonly topic: string; readonly position: Position }
  | { readonly kind: "notice"; readonly handler: "presenceChanged"; readonly event: PresenceEvent };

/** Work for an actor. */
export type Work =
  | Message
  | Mail
  | ActorTimer
  | Notice
  | Restart
  | Resume
  | Ending
  | { readonly kind: "opening" | "shuttingDown" | "suspending" };

export const OPENING: Work = { kind: "opening" };
export const SHUTTING_DOWN: Work = { kind: "shuttingDown" };
export const SUSPENDING: Work = { kind: "suspending" };
