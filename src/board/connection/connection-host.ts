/**
 * What a connection gets from its shard: limits, identity, and the shared parts of the thread. The shard implements it.
 */

import type { Address } from "../../runtime/actor/address.ts";
import type { CellSettings } from "../../runtime/actor/cell-host.ts";
import type { Params } from "../../runtime/actor/context/actor-context.ts";
import type { RequestRecord } from "../../runtime/actor/context/connection-request.ts";
import type { SlowConsumerPolicy } from "../../runtime/actor/context/slow-consumer-policy.ts";
import type { HandlerLimits } from "../../runtime/actor/handlers/handler-watch.ts";
import type { Mailer } from "../../runtime/actor/mail.ts";
import type { Bus } from "../../runtime/bus/bus.ts";
import type { LostMail } from "../../runtime/mail/mail-router.ts";
import type { FairScheduler } from "../../runtime/scheduling/fair-scheduler.ts";
import type { TimerWheel } from "../../runtime/scheduling/timer-wheel.ts";
import type { Counters } from "../../runtime/stats/counters.ts";
import type { CompressionOptions, DeflateAgreement } from "../../wire/protocol/deflate/compression.ts";
import type { Deflaters } from "../../wire/protocol/deflate/deflater.ts";
import type { HeartbeatOptions } from "../../wire/protocol/heartbeat.ts";
import type { FlushQueue } from "./flush-queue.ts";
import type { Outbound } from "./outbound.ts";
import type { RateOptions } from "./rate-limit.ts";
import type { ShardEventSink } from "./shard-events.ts";

/** Limits of every connection of a board. */
export interface ConnectionLimits extends HandlerLimits, HeartbeatOptions, RateOptions {
  readonly maxPayloadBytes: number;
  readonly maxFragments: number;
  readonly maxMailboxMessages: number;
  readonly maxMailboxBytes: number;
  readonly maxMails: number;
  readonly maxBufferedBytes: number;
  /** Topics that one connection may be subscribed to at a time. */
  readonly maxSubscriptions: number;
  readonly slowConsumerPolicy: SlowConsumerPolicy;
  readonly closeTimeoutMs: number;
  /** Compression of messages; undefined disables compression. */
  readonly compression?: CompressionOptions;
}

/** Facts about a connection from the thread that did the handshake. */
export interface ConnectionIdentity extends RequestRecord {
  readonly id: string;
  readonly session: unknown;
  readonly params: Params;
  readonly protocol: string;
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
  readonly shard: number;
  readonly options: ConnectionLimits;
  readonly bus: Bus;
  readonly wheel: TimerWheel;
  /** Scheduler of reads, writes and actors with much to do. */
  readonly turns: FairScheduler;
  readonly flushQueue: FlushQueue;
  readonly behind?: Set<Outbound>;
  readonly counters: Counters;
  /** Undefined if compression is off. */
  readonly deflaters?: Deflaters | undefined;
  readonly events: ShardEventSink;
  readonly cells: CellSettings;
  readonly mailer: Mailer;
  /** Called when an actor has finished its `closed`. The counter `actors` counts the actors that have not. */
  actorEnded(): void;
  /** Ends the whole shard with `error`. */
  escalate(error: unknown): void;
  /** Called for mail to an actor of this shard that the actor won't handle. */
  mailUndelivered(lost: LostMail): void;
  /** @param clean true if the peer sent its close frame */
  connectionClosed(connection: { readonly address: Address }, clean: boolean): void;
}
