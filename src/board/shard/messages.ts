import type { MessagePort } from "node:worker_threads";
import type { PulseSource } from "../../runtime/stats/pulse.ts";
import type { HandoffEnd } from "../../wire/transport/pending-handoffs.ts";
import type { ShardPortSettings } from "../accept/shard-port.ts";
import type { ConnectionLimits } from "../connection/connection-host.ts";
import type { ShardEvent } from "../connection/shard-events.ts";
import type { QueryAnswers, ShardQuery } from "./queries.ts";
import type { ShutdownCounts, ShutdownSettings } from "./shutdown.ts";

/** Everything that a shard is started with. */
export interface ShardTask {
  /** From 0. */
  readonly shard: number;
  /** URL of the actor module. */
  readonly actor: string;
  /** True if the thread is warmed up before the shard is ready. */
  readonly warmUp: boolean;
  readonly options: ConnectionLimits;
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
  readonly rawSockets: HandoffEnd;
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
export interface ShardPortNotice {
  readonly listenerId: number;
  readonly settings: ShardPortSettings;
}

/** What comes to the shard with an unread socket. */
export interface RawSocketEnvelope {
  readonly listenerId: number;
  /** Under which the client is counted, if clients are. */
  readonly clientKey: string | undefined;
}

/** From the main thread to a shard. */
export type ShardOrder =
  /** Another shard was started: connect to it. */
  | { readonly kind: "link"; readonly link: ThreadLink }
  | { readonly kind: "query"; readonly serial: number; readonly query: ShardQuery }
  /** Close every connection, and those that still arrive, and await their actors; drop and cut what is left when the time is up. */
  | { readonly kind: "shutDown"; readonly settings: ShutdownSettings }
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
  | ShardEvent
  | {
      readonly kind: "queryAnswered";
      readonly serial: number;
      readonly answer: QueryAnswers[ShardQuery["kind"]];
    }
  /** Keys of clients of which a connection or a handshake has ended, where clients are counted. */
  | { readonly kind: "socketsClosed"; readonly clientKeys: readonly string[] }
  | ({ readonly kind: "shutdownDone" } & ShutdownCounts);
