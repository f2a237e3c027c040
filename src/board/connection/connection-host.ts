import type { Params } from "../../runtime/actor/actor.ts";
import type { CellSettings } from "../../runtime/actor/actor-cell.ts";
import type { Address } from "../../runtime/actor/address.ts";
import type { RequestRecord } from "../../runtime/actor/connection-request.ts";
import type { HandlerLimits } from "../../runtime/actor/handler-watch.ts";
import type { Mailer } from "../../runtime/actor/mail.ts";
import type { SlowConsumerPolicy } from "../../runtime/actor/send-results.ts";
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
  /** How messages may be compressed; undefined: not at all. */
  readonly compression?: CompressionOptions;
}

/** What a shard is told of a connection by the thread that did its handshake. */
export interface ConnectionIdentity extends RequestRecord {
  readonly id: string;
  readonly session: unknown;
  readonly params: Params;
  readonly protocol: string;
}

/** What comes to the shard with a socket. */
export interface HandoffEnvelope {
  readonly identity: ConnectionIdentity;
  /** The 101 that the peer waits for, in latin1: the first that the shard writes. */
  readonly answer: string;
  /** The compression that the answer agrees to, if any. */
  readonly deflate?: DeflateAgreement | undefined;
  /** Under which the client is counted, if clients are. */
  readonly clientKey?: string | undefined;
}

/** What the connections of a shard share. */
export interface ConnectionHost {
  readonly shard: number;
  readonly options: ConnectionLimits;
  readonly bus: Bus;
  readonly wheel: TimerWheel;
  /** Of what has much to do: reads, writes, actors. */
  readonly turns: FairScheduler;
  readonly flushQueue: FlushQueue;
  readonly behind?: Set<Outbound>;
  readonly counters: Counters;
  /** Where compression is on. */
  readonly deflaters?: Deflaters | undefined;
  readonly events: ShardEventSink;
  readonly cells: CellSettings;
  readonly mailer: Mailer;
  /** An actor is done with its `closed`; the counter `actors` says how many are not. */
  actorEnded(): void;
  /** Ends the whole shard with this error. */
  escalate(error: unknown): void;
  /** Mail to an actor here won't be handled. */
  mailUndelivered(lost: LostMail): void;
  /** @param clean whether the peer sent its close frame */
  connectionClosed(connection: { readonly address: Address }, clean: boolean): void;
}
