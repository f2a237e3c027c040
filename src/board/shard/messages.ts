import type { MessagePort } from "node:worker_threads";
import type { ErrorReport } from "../../errors.ts";
import type { SlowConsumerPolicy } from "../../runtime/actor/flow.ts";
import type { HandlerName } from "../../runtime/actor/incarnation.ts";
import type { FailureOutcome } from "../../runtime/actor/supervision.ts";
import type { LostMail } from "../../runtime/mail/mail-router.ts";
import type { PulseSource } from "../../runtime/stats/pulse.ts";
import type { HandoffEnd } from "../../wire/transport/pending-handoffs.ts";
import type { ListenerSettings } from "../accept/listener.ts";
import type { ConnectionOptions } from "../connection/connection-host.ts";
import type { DrainCounts, DrainSettings } from "./drain.ts";
import type { QueryAnswers, ShardQuery } from "./queries.ts";

/** Everything that a shard is started with. */
export interface ShardTask {
  /** From 0. */
  readonly shard: number;
  /** URL of the actor module. */
  readonly actor: string;
  readonly options: ConnectionOptions;
  /** Proxies whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
  readonly counters: SharedArrayBuffer;
  /** Where its event-loop meter writes. */
  readonly meter: SharedArrayBuffer;
  /** Where the thread's silence is watched. */
  readonly pulse: PulseSource | undefined;
  readonly control: MessagePort;
  readonly handoff: HandoffEnd;
  /** For streams that can't be moved. */
  readonly relay: HandoffEnd;
  /** For sockets whose handshake is the shard's. */
  readonly unread: HandoffEnd;
  /** To the main thread and to every shard that was started before. */
  readonly links: readonly ThreadLink[];
}

/** A direct port to another thread, for publishes and mail. */
export interface ThreadLink {
  readonly port: MessagePort;
  /** Undefined: the main thread. */
  readonly shard: number | undefined;
}

/** Comes before the first socket of a listener, and again when its settings change. */
export interface ListenerNotice {
  readonly listener: number;
  readonly settings: ListenerSettings;
}

/** What comes to the shard with an unread socket. */
export interface UnreadArrival {
  readonly listener: number;
  /** Under which the client is counted, if clients are. */
  readonly address: string | undefined;
}

/** From the main thread to a shard. */
export type ShardOrder =
  /** Another shard was started: connect to it. */
  | { readonly kind: "link"; readonly link: ThreadLink }
  | { readonly kind: "query"; readonly serial: number; readonly query: ShardQuery }
  /** Close every connection, and those that still arrive, and await their actors; drop and cut what is left when the time is up. */
  | { readonly kind: "drain"; readonly settings: DrainSettings }
  /** Everything is closed and done, or the time is up: end. */
  | { readonly kind: "stop" };

/** What the main thread knows of the actor module, which only shards load. */
export interface ActorModuleFacts {
  /** Whether the module exports an `authorize`, for handshakes in the shard. */
  readonly authorizes: boolean;
  /** Headers that the actor class asks for, in lower case. */
  readonly requestHeaders: readonly string[];
}

/** From a shard to the main thread. */
export type ShardReport =
  | ({ readonly kind: "ready" } & ActorModuleFacts)
  | {
      readonly kind: "actorFailed";
      /** Undefined for what is `detached` and no actor's. */
      readonly id: string | undefined;
      readonly handler: HandlerName;
      readonly outcome: FailureOutcome;
      readonly error: ErrorReport;
    }
  | {
      readonly kind: "handlerTimedOut";
      readonly id: string;
      readonly handler: HandlerName;
      readonly limitMs: number;
    }
  | {
      readonly kind: "slowConsumer";
      readonly id: string;
      readonly policy: SlowConsumerPolicy;
      readonly bufferedBytes: number;
    }
  | { readonly kind: "abnormalClosure"; readonly id: string }
  | { readonly kind: "mailDied"; readonly lost: LostMail }
  | {
      readonly kind: "queryAnswered";
      readonly serial: number;
      readonly answer: QueryAnswers[ShardQuery["kind"]];
    }
  /** A handshake of its own failed for a reason that is not its peer's. */
  | { readonly kind: "handshakeFailed"; readonly error: ErrorReport }
  /** It refused a socket or couldn't accept one, because few descriptors are left. */
  | { readonly kind: "acceptFailed"; readonly error: ErrorReport }
  /** Clients of whom a connection or a handshake has ended, where they are counted. */
  | { readonly kind: "departed"; readonly addresses: readonly string[] }
  | ({ readonly kind: "drained" } & DrainCounts);
