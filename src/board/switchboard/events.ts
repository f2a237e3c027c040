import type { LostMail } from "../../runtime/mail/mail-router.ts";
import type { DrainCounts } from "../shard/drain.ts";
import type { AbnormalClosure, ActorFailure, HandlerTimeout, SlowConsumer } from "./pool/shard-handle.ts";
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
  draining: [];
  /** The board is closed. */
  closed: [DrainCounts];
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
