/**
 * Events in a shard that users of the board may listen to. Connections and the shard report them; the board emits them
 * with the shard's number. A new event is one member here, one `report` where it happens, and one member of
 * `SwitchboardEvents`.
 */
import type { ErrorReport } from "../../errors.ts";
import type { StayReason } from "../../runtime/actor/moving/suspension.ts";
import type { FailureOutcome } from "../../runtime/actor/supervision.ts";
import type { HandlerName } from "../../runtime/actor/work.ts";
import type { LostMail } from "../../runtime/mail/mail-router.ts";
import type { SlowConsumerPolicy } from "../../wire/protocol/slow-consumer-policy.ts";

/** The connection that an event is about. */
interface OfConnection {
  readonly id: string;
  /** Name of its actor module; undefined for the default module. */
  readonly actor: string | undefined;
}

/** The events by name, in the form in which they cross threads. */
export interface ShardEvents {
  actorFailed: {
    /** Id of the connection; undefined for a `detached` failure that belongs to no actor. */
    readonly id: string | undefined;
    readonly actor: string | undefined;
    readonly handler: HandlerName;
    readonly outcome: FailureOutcome;
    readonly error: ErrorReport;
  };
  handlerTimedOut: OfConnection & { readonly handler: HandlerName; readonly limitMs: number };
  slowConsumer: OfConnection & { readonly policy: SlowConsumerPolicy; readonly bufferedBytes: number };
  abnormalClosure: OfConnection;
  /** A connection was to go to another shard and stayed. */
  moveFailed: OfConnection & { readonly reason: StayReason; readonly error: ErrorReport };
  /** A subscription with an `encode` has ended after a move: `resumed` hasn't subscribed again. */
  subscriptionNotResumed: OfConnection & { readonly topic: string; readonly error: ErrorReport };
  deadLetter: LostMail;
  /** A handshake in the shard failed for a reason that is not its peer's. */
  handshakeFailed: { readonly error: ErrorReport };
  /** The shard refused a socket or couldn't accept one, because few descriptors are left. */
  acceptFailed: { readonly error: ErrorReport };
}

export type ShardEventName = keyof ShardEvents;

/** One event on its way to the main thread. */
export type ShardEvent = {
  [Name in ShardEventName]: { readonly kind: "event"; readonly name: Name; readonly detail: ShardEvents[Name] };
}[ShardEventName];

/** Takes the events of a shard. */
export interface ShardEventSink {
  report<Name extends ShardEventName>(name: Name, detail: ShardEvents[Name]): void;
}
