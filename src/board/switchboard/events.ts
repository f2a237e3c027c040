import type { SlowConsumerPolicy } from "../../runtime/actor/send-results.ts";
import type { FailureOutcome } from "../../runtime/actor/supervision.ts";
import type { LostMail } from "../../runtime/mail/mail-router.ts";
import type { ShutdownCounts } from "../shard/shutdown.ts";
import type { ShardLoss } from "./pool/shard-loss.ts";

/** What happens rarely and somebody should know. Without a listener for a failure, the first of its kind becomes a process warning. */
export interface SwitchboardEvents {
  /** A handler of an actor threw or rejected; its connection was closed with 1011, unless the outcome is another. */
  actorFailed: [ActorFailure];
  /** A shard's thread ended, and its connections with it. It will be replaced, unless `shardFailed` follows. */
  shardLost: [ShardLoss];
  /** A shard died five times within a minute, this time last: it isn't started again. */
  shardFailed: [ShardLoss];
  /**
   * An upgrade failed for a reason that is not its peer's: `authorize` threw, a shard ended before it took the socket over (`ERR_SHARD_LOST`) or
   * didn't take it over in time (`ERR_HANDOFF_TIMEOUT`), the system couldn't move the socket (`ERR_SOCKET_STAYED`), another listener of
   * the server took the socket (`ERR_UPGRADE_TAKEN`). At most 100 in a second
   * from each thread, the rest is only counted.
   */
  handshakeFailed: [Error];
  /**
   * A handler took longer than `handlerTimeoutMs` or `handlerTimeoutAfterCloseMs`, and was given up; `actorFailed` tells what became of its
   * actor. At most 100 in a second from each shard, the rest is only counted.
   */
  handlerTimedOut: [HandlerTimeout];
  /**
   * A socket was refused because few descriptors are left, or a listening server failed. At most one in a second from each thread, the rest is
   * only counted (`acceptsFailed`).
   */
  acceptFailed: [AcceptFailure];
  /**
   * As much waits for a connection's peer as may (`maxBufferedBytes`), and its policy applies. Once until nothing waits any more; at most 100 in a
   * second from each shard, the rest is only counted.
   */
  slowConsumer: [SlowConsumer];
  /** A peer was gone without a close handshake (1006). At most 100 in a second from each shard, the rest is only counted. */
  abnormalClosure: [AbnormalClosure];
  /** Mail wasn't handled. All of it is counted (`deadLetters`), and at most 100 per second and thread are told. */
  deadLetter: [DeadLetter];
  /** A new thread takes connections in place of a lost one. */
  shardReplaced: [{ readonly shard: number }];
  /** The board begins to close: `ready` is false from now on. */
  closing: [];
  /** The board is closed. */
  closed: [ShutdownCounts];
}

/** A thread can't accept connections now: it refuses them, and goes on when there is room again. */
export interface AcceptFailure {
  /** Undefined: the main thread. */
  readonly shard: number | undefined;
  /** `ERR_OUT_OF_DESCRIPTORS`, or what the operating system said. */
  readonly error: Error;
}

/** Mail that nobody handled. */
export interface DeadLetter extends LostMail {
  /** Where it was found out; undefined: in the main thread, for mail that the board itself sent. */
  readonly shard: number | undefined;
}

/** An actor's handler that threw or rejected. */
export interface ActorFailure {
  readonly shard: number;
  /** Of the connection; undefined for what is `detached` and was begun by no actor. */
  readonly id: string | undefined;
  /** `detached`: none, but a promise that one of them, or what it had begun, made and didn't await. */
  readonly handler: string;
  /** What became of the actor, by its class's `supervision`. */
  readonly outcome: FailureOutcome;
  readonly error: Error;
}

/** A handler that took longer than it may, and was given up; `actorFailed` tells of it, too. */
export interface HandlerTimeout {
  readonly shard: number;
  /** Of the connection. */
  readonly id: string;
  /** Name of the handler, such as `received`. */
  readonly handler: string;
  /** The limit that was reached, in milliseconds. */
  readonly limitMs: number;
}

/** A connection for whose peer as much waits as may. */
export interface SlowConsumer {
  readonly shard: number;
  /** Of the connection. */
  readonly id: string;
  /** What happens to it or its messages. */
  readonly policy: SlowConsumerPolicy;
  /** Bytes that wait for it. */
  readonly bufferedBytes: number;
}

/** A connection whose peer was gone without a close handshake (1006). */
export interface AbnormalClosure {
  readonly shard: number;
  /** Of the connection. */
  readonly id: string;
}
