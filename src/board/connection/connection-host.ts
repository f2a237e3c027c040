/**
 * The host of a connection: limits, identity, and the parts of the thread that connections share. The shard implements
 * `ConnectionHost`.
 */

import type { Address } from "../../runtime/actor/address.ts";
import type { CellSettings } from "../../runtime/actor/cell-host.ts";
import type { Params } from "../../runtime/actor/context/actor-context.ts";
import type { RequestRecord } from "../../runtime/actor/context/connection-request.ts";
import type { HandlerLimits } from "../../runtime/actor/handlers/handler-watch.ts";
import type { Mailer } from "../../runtime/actor/mail.ts";
import type { Feeds } from "../../runtime/feeds/feeds.ts";
import type { Topics } from "../../runtime/feeds/topics.ts";
import type { LostMail } from "../../runtime/mail/mail-router.ts";
import type { FairScheduler } from "../../runtime/scheduling/fair-scheduler.ts";
import type { TimerWheel } from "../../runtime/scheduling/timer-wheel.ts";
import type { Counters } from "../../runtime/stats/counters.ts";
import type { CompressionOptions, DeflateAgreement } from "../../wire/protocol/deflate/compression.ts";
import type { Deflaters } from "../../wire/protocol/deflate/deflater.ts";
import type { HeartbeatOptions } from "../../wire/protocol/heartbeat.ts";
import type { SlowConsumerPolicy } from "../../wire/protocol/slow-consumer-policy.ts";
import type { FlushQueue } from "./outbound/flush-queue.ts";
import type { Outbound } from "./outbound/outbound.ts";
import type { RateOptions } from "./rate-limit.ts";
import type { ShardEventSink } from "./shard-events.ts";

/** Limits of every connection of a board. `start` fills in the defaults. */
export interface ConnectionLimits extends HandlerLimits, HeartbeatOptions, RateOptions {
  /** Longest message of a peer, in bytes after inflating. A longer one closes the connection (1009). Default: 1 MiB. */
  readonly maxPayloadBytes: number;
  /** Largest number of frames in one message; more close the connection (1008). Default: 131,072. */
  readonly maxFragments: number;
  /**
   * Number of messages in one mailbox at which the connection isn't read any more, until half of them are handled.
   * Default: 1,024.
   */
  readonly maxMailboxMessages: number;
  /** The same limit in bytes of messages. Default: 1 MiB. */
  readonly maxMailboxBytes: number;
  /** Number of mails in one mailbox at which further mail is refused as `full`. Default: 1,024. */
  readonly maxMails: number;
  /** Number of bytes that may wait for a peer that doesn't read; then `slowConsumerPolicy` applies. Default: 1 MiB. */
  readonly maxBufferedBytes: number;
  /** Number of topics that one connection may be subscribed to at a time. Default: 1,024. */
  readonly maxSubscriptions: number;
  /** Policy for a message beyond `maxBufferedBytes`, until an actor chooses another. Default: `close`. */
  readonly slowConsumerPolicy: SlowConsumerPolicy;
  /**
   * Time that a peer has to answer our close frame, in milliseconds. After the peer's own end, messages before it are
   * answered for so long, and for 2 s at most. Default: 10,000.
   */
  readonly closeTimeoutMs: number;
  /** Compression of messages; undefined disables compression. */
  readonly compression?: CompressionOptions;
}

/** Name of an actor module of a board; undefined for the default module. */
export type ActorName = string | undefined;

/** Facts about a connection from the thread that did the handshake. */
export interface ConnectionIdentity extends RequestRecord {
  /** Address of the actor. */
  readonly id: string;
  /** Session that `authorize` returned. */
  readonly session: unknown;
  /** Parameters of the path. */
  readonly params: Params;
  /** Negotiated subprotocol, or "". */
  readonly protocol: string;
  /** Name of the actor module; absent for the default module. */
  readonly actor?: string;
}

/** Message that comes to the shard with a socket. */
export interface HandoffEnvelope {
  readonly identity: ConnectionIdentity;
  /** The 101 response that the peer waits for, in latin1. The shard writes it before all else. */
  readonly answer: string;
  /** Compression that the answer agrees to; undefined if none. */
  readonly deflate?: DeflateAgreement | undefined;
  /** Key under which the client is counted; undefined if clients are not counted. */
  readonly clientKey?: string | undefined;
}

/** Parts and callbacks that the connections of a shard share. */
export interface ConnectionHost {
  /** Index of the shard, from 0. */
  readonly shard: number;
  readonly options: ConnectionLimits;
  readonly topics: Topics;
  /** Set if a topic of the board has history or presence, or if its engine is shared with other nodes. */
  readonly feeds?: Feeds | undefined;
  /** Timers of the connections: heartbeats, ends and rates. */
  readonly wheel: TimerWheel;
  /** Scheduler of reads, writes and actors with much to do. */
  readonly turns: FairScheduler;
  /** Connections with frames to write at the end of the tick. */
  readonly flushQueue: FlushQueue;
  /** Connections that may wait for their peer. The reader of the set removes connections that no longer wait. */
  readonly behind?: Set<Outbound>;
  readonly counters: Counters;
  /** Compressors, one for each window size; undefined if compression is off. */
  readonly deflaters?: Deflaters | undefined;
  /** Sink of the events that the board emits. */
  readonly events: ShardEventSink;
  readonly cells: CellSettings;
  readonly mailer: Mailer;
  /** Called when an actor has finished its `closed`. The counter `actors` counts the actors that have not. */
  actorEnded(): void;
  /** Ends the whole shard with `error`. */
  escalate(error: unknown): void;
  /** Called for mail to an actor of this shard that the actor won't handle. */
  mailUndelivered(lost: LostMail): void;
  /**
   * Called when the transport of a connection is closed.
   *
   * @param clean true if the peer sent its close frame
   */
  connectionClosed(connection: { readonly address: Address }, clean: boolean): void;
}
