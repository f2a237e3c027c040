/** All messages between the main thread and a shard over the control port, and what a shard is started with. */
import type { MessagePort } from "node:worker_threads";
import type { Address } from "../../runtime/actor/address.ts";
import type { PassedPublish } from "../../runtime/feeds/topics.ts";
import type { PulseSource } from "../../runtime/stats/pulse.ts";
import type { TopicRule } from "../../runtime/streams/topic-rules.ts";
import type { HandoffEnd } from "../../wire/transport/pending-handoffs.ts";
import type { ThreadWay } from "../../wire/transport/tcp-sockets.ts";
import type { ShardPortSettings } from "../accept/shard-port.ts";
import type { LateSocket } from "../accept/sockets/socket-acceptor-owner.ts";
import type { ActorName, ConnectionLimits } from "../connection/connection-host.ts";
import type { ShardEvent } from "../connection/shard-events.ts";
import type { MovesReport } from "./moving/messages.ts";
import type { QueryAnswers, ShardQuery } from "./queries.ts";
import type { ShutdownCounts, ShutdownSettings } from "./shutdown.ts";

/** Everything that a shard is started with. */
export interface ShardTask {
  /** Number of the shard, from 0. */
  readonly shard: number;
  /** Number of the thread, unique in the board, from 1. The main thread is 0. */
  readonly life: number;
  /** Beginning of all addresses of this node: `<node>.`, or "" if no other node may run the same engine. */
  readonly addressPrefix: string;
  /** URLs of the actor modules, by name. */
  readonly actors: ReadonlyMap<ActorName, string>;
  /** True if the thread is warmed up before the shard is ready. */
  readonly warmUp: boolean;
  readonly options: ConnectionLimits;
  /** Proxies whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
  readonly counters: SharedArrayBuffer;
  /** Memory of the shard's event-loop meter. */
  readonly meter: SharedArrayBuffer;
  /** Memory of the shard's pulse, for the watchdog; undefined without a watchdog. */
  readonly pulse: PulseSource | undefined;
  readonly control: MessagePort;
  readonly handoff: HandoffEnd;
  /** Channel for streams that can't be moved. */
  readonly relay: HandoffEnd;
  /** Channel for raw sockets: the shard does their handshake. */
  readonly rawSockets: HandoffEnd;
  /** List of what the shard owns past Node, if it uses io_uring; undefined: Node's sockets. */
  readonly uringEstate: SharedArrayBuffer | undefined;
  /** Topics with history or presence; undefined if the board has no engine. */
  readonly engine: ShardEngine | undefined;
  /** Links to the main thread and to every shard that was started before. */
  readonly links: readonly ThreadLink[];
}

/** The board's engine as a shard sees it, with the rules of its topics. */
export interface ShardEngine {
  /** Port to the engine thread; undefined while there is none. */
  readonly port: MessagePort | undefined;
  readonly rules: readonly TopicRule[];
  /** True if other nodes run the same engine. */
  readonly isShared: boolean;
}

/** A direct port to another thread, for publishes, mail and connections that move. */
export interface ThreadLink extends ThreadWay {
  /** Number of the shard; undefined for the main thread. */
  readonly shard: number | undefined;
  /** Number of the thread, unique in the board; 0 for the main thread. */
  readonly life: number;
  /** True for a thread whose addresses have gone to a newer thread of its shard. */
  readonly isSucceeded: boolean;
}

/** Settings of a port. Comes before the first socket of the port, and again when the settings change. */
export interface ShardPortNotice {
  readonly listenerId: number;
  readonly settings: ShardPortSettings;
}

/** Data that comes with a raw socket. */
export interface RawSocketEnvelope {
  readonly listenerId: number;
  /** Key under which the client is counted; undefined if clients aren't counted. */
  readonly clientKey: string | undefined;
}

/** Order from the main thread to a shard. */
export type ShardOrder =
  /** The engine thread was replaced. */
  | { readonly kind: "engine"; readonly port: MessagePort }
  /** Another shard was started: link to it. */
  | { readonly kind: "link"; readonly link: ThreadLink }
  | { readonly kind: "query"; readonly serial: number; readonly query: ShardQuery }
  /**
   * Another thread takes the place of this one: give it the listening servers, and the connections that open from now
   * on. `to` is its life. Pass sockets without an answer on (`LateUpgradeReport`).
   */
  | { readonly kind: "retire"; readonly to: number }
  /** Acknowledgement: the main thread has handled this number of further reports of actors. */
  | { readonly kind: "reportsHandled"; readonly count: number }
  /**
   * Close all connections, also those that still arrive, and await their actors. Drop and cut the rest when the time is
   * up.
   */
  | { readonly kind: "shutDown"; readonly settings: ShutdownSettings }
  /** Everything is closed and done, or the time is up: end. */
  | { readonly kind: "stop" };

/** Facts about one actor module, which only shards load. */
export interface ActorModuleFacts {
  /** True if the module exports an `authorize`, for handshakes in the shard. */
  readonly authorizes: boolean;
  /** Headers that the actor class asks for, in lower case. */
  readonly requestHeaders: readonly string[];
  /** Version of the state with which its connections move; undefined if they don't. */
  readonly moves: number | undefined;
}

/** A value that an actor, or other code of an actor module, tells the program in the main thread. */
export interface ModuleReport {
  /** Address of the actor that reported; undefined for other code. */
  readonly address: Address | undefined;
  readonly value: unknown;
}

/**
 * A socket that came too late for this process or this thread, for the one that has taken over. A handle comes with the
 * message; the main thread claims a descriptor from the shard's estate (`claimDescriptor`).
 */
export interface LateUpgradeReport extends LateSocket {
  readonly kind: "lateUpgrade";
}

/** Message from a shard to the main thread. */
export type ShardReport =
  | { readonly kind: "ready"; readonly actors: ReadonlyMap<ActorName, ActorModuleFacts> }
  | ShardEvent
  | {
      readonly kind: "queryAnswered";
      readonly serial: number;
      readonly answer: QueryAnswers[ShardQuery["kind"]];
    }
  /** Reports of actors and their modules, gathered over one tick. */
  | { readonly kind: "reported"; readonly reports: readonly ModuleReport[] }
  /** Keys of clients of which a connection or a handshake has ended, where clients are counted. */
  | { readonly kind: "socketsClosed"; readonly clientKeys: readonly string[] }
  | MovesReport
  /** A publish for subscribers that have gone to another process. */
  | { readonly kind: "published"; readonly publish: PassedPublish }
  | LateUpgradeReport
  | ({ readonly kind: "shutdownDone" } & ShutdownCounts);
