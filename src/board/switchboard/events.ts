/** The events of a board, with their details. `EVENTS.md` lists them for users. */
import type { Address } from "../../runtime/actor/address.ts";
import type { StayReason } from "../../runtime/actor/moving/suspension.ts";
import type { FailureOutcome } from "../../runtime/actor/supervision.ts";
import type { LostMail } from "../../runtime/mail/mail-router.ts";
import type { SlowConsumerPolicy } from "../../wire/protocol/slow-consumer-policy.ts";
import type { ShutdownCounts } from "../shard/shutdown.ts";
import type { NodeStatus } from "./cluster/node-list.ts";
import type { RecycledShard, RecycleFailure } from "./moving/recycler.ts";
import type { ShardLoss } from "./pool/shard-loss.ts";

/** Events of a board. Without a listener, the first failure of each kind becomes a process warning. */
export interface SwitchboardEvents {
  /**
   * A handler of an actor threw or rejected. The connection was closed with 1011, unless the outcome says otherwise.
   */
  actorFailed: [ActorFailure];
  /** A shard's thread ended, and its connections with it. The shard is replaced, unless `shardFailed` follows. */
  shardLost: [ShardLoss];
  /** A shard died for the fifth time within a minute. It isn't started again. */
  shardFailed: [ShardLoss];
  /**
   * An upgrade failed for a reason that is not its peer's: `authorize` threw, a shard ended before it took the socket
   * over (`ERR_SHARD_LOST`) or took too long (`ERR_HANDOFF_TIMEOUT`), the system couldn't move the socket
   * (`ERR_SOCKET_STAYED`), or another listener of the server took the socket (`ERR_UPGRADE_TAKEN`). At most 100 in a
   * second from each thread; the rest is only counted.
   */
  handshakeFailed: [Error];
  /**
   * A handler took longer than `handlerTimeoutMs` or `handlerTimeoutAfterCloseMs` and was given up. `actorFailed` tells
   * what became of the actor. At most 100 in a second from each shard; the rest is only counted.
   */
  handlerTimedOut: [HandlerTimeout];
  /**
   * The engine can't be reached, or nothing arrives from it: publishes to topics with history reject, and subscribers
   * get nothing new. `board.health()` tells the same. `engineUp` follows.
   */
  engineDown: [Error];
  /**
   * The engine refuses to store, because it is out of memory: publishes to topics with history reject, and new members
   * of topics with presence are stored later. Subscriptions and recoveries go on. `engineUp` follows.
   */
  engineFull: [Error];
  /** The engine works again. Every subscriber of a stream gets what it missed, or is told that it can't. */
  engineUp: [];
  /**
   * The engine's thread ended, or was ended because it was blocked for `shardTimeoutMs`. It is replaced, unless
   * `engineFailed` follows; streams in memory begin another epoch.
   */
  engineLost: [Error];
  /** The engine's thread died for the fifth time within a minute. It isn't started again. */
  engineFailed: [Error];
  /** Another node that shares the engine has told what it is. */
  nodeJoined: [NodeStatus];
  /** Another node has ended, isn't heard any more, or can't be heard because the engine's thread has ended. */
  nodeLeft: [NodeStatus];
  /**
   * A socket was refused because few descriptors are left, or a listening server failed. At most one in a second from
   * each thread; the rest is only counted (`acceptsFailed`).
   */
  acceptFailed: [AcceptFailure];
  /**
   * The send buffer of a connection reached `maxBufferedBytes`, so its `slowConsumerPolicy` applies. Emitted once until
   * the buffer is empty again. At most 100 in a second from each shard; the rest is only counted.
   */
  slowConsumer: [SlowConsumer];
  /**
   * A connection ended without a close handshake (1006). At most 100 in a second from each shard; the rest is only
   * counted.
   */
  abnormalClosure: [AbnormalClosure];
  /**
   * Mail was not handled. All dead letters are counted (`deadLetters`); at most 100 in a second are reported from each
   * thread.
   */
  deadLetter: [DeadLetter];
  /** An open connection has moved to another shard. */
  moved: [MovedConnection];
  /**
   * A connection was to move to another shard, thread or process and couldn't. At most 100 in a second from each
   * shard; the rest is only counted.
   */
  moveFailed: [MoveFailure];
  /**
   * A subscription with an `encode` has ended after a move to another shard or process, because `resumed` didn't
   * subscribe to the topic again. At most 100 in a second from each shard; the rest is only counted.
   */
  subscriptionNotResumed: [SubscriptionNotResumed];
  /** The thread of a shard was replaced by `recycle`, or by itself. Its connections go on. */
  shardRecycled: [RecycledShard];
  /** The thread of a shard was to be replaced by itself, and no other could start: everything goes on in it. */
  recycleFailed: [RecycleFailure];
  /** An actor, or other code of an actor module, has called `report`. */
  reported: [Report];
  /** Everything has come from the process that this board takes over from. */
  takenOver: [TakenOver];
  /** The takeover from another process failed once it had begun. The other process goes on; this board closes. */
  takeoverFailed: [Error];
  /** Another process wanted to take over from this board and couldn't. Everything goes on here. */
  successorFailed: [SuccessorFailure];
  /**
   * This board has taken over and can't wait for the next process: the folder is gone, or no descriptor is left. It
   * tries again every second.
   */
  takeoverUnavailable: [Error];
  /**
   * All connections that can move are stopped for another process: calls about them find nobody from now on.
   * `handedOver` or `successorFailed` follows.
   */
  handingOver: [];
  /**
   * Another process takes over without what `give` of the option `takeover` was to return: the function threw, took too
   * long, or returned what can't travel. `handedOver` or `successorFailed` follows.
   */
  programStateLeft: [Error];
  /**
   * Another process takes over, and publications of some topics stay behind, because they are more than the engine's
   * `maxTakeoverBytes`. Subscribers that miss some are told so. `handedOver` follows.
   */
  historyLeft: [HistoryLeft];
  /** Another process has taken over everything that can move. The board closes now, with what is left. */
  handedOver: [HandedOver];
  /** A new thread takes connections in place of one that was lost. */
  shardReplaced: [{ readonly shard: number }];
  /** The board begins to close. `ready` is false from now on. */
  closing: [];
  /** The board is closed. */
  closed: [ShutdownCounts];
}

/** A takeover from another process. */
export interface TakenOver {
  /** Process id of the other process. */
  readonly pid: number;
  /** Number of connections that came. */
  readonly connections: number;
  /** True if the other process ended before it had given everything. */
  readonly predecessorDied: boolean;
  /**
   * Listening sockets of the other process that this one hasn't asked for by `listen`, as `<address>:<port>` or the
   * path of a Unix socket. They were closed.
   */
  readonly unclaimed: readonly string[];
  /** Time from the first message to the other process until everything ran here, in ms. */
  readonly ms: number;
}

/** A process that couldn't take over. */
export interface SuccessorFailure {
  /** Process id of the other process. */
  readonly pid: number;
  /** `ERR_TAKEOVER_REFUSED`, `ERR_TAKEOVER_TIMEOUT`, `ERR_TAKEOVER_LOST`, or what went wrong in the other process. */
  readonly error: Error;
  /** True if it was refused before anything was stopped. */
  readonly wasRefused: boolean;
  /**
   * Number of connections that ended with that process: 0, or all that could go, because all go together. They are lost
   * if that process ends after it was told to start them, and before it has said that they run. If it ends later,
   * `handedOver` has come, and this board doesn't learn of it.
   */
  readonly lost: number;
}

/** A takeover by another process. */
export interface HandedOver {
  /** Process id of the other process. */
  readonly pid: number;
  /** Number of connections that went. */
  readonly connections: number;
  /**
   * True if the other process has given no sign of life since it got everything, for 30 s and after SIGCONT. It wasn't
   * ended, because all connections are in it.
   */
  readonly isSilent: boolean;
  /** Time for which the connections were stopped at most, in ms. */
  readonly pauseMs: number;
  /** Time of the whole takeover, in ms. The start of the other program is a part of it. */
  readonly ms: number;
}

/** Publications that stay behind when another process takes over. */
export interface HistoryLeft {
  /** Number of topics with such publications. */
  readonly topics: number;
  readonly publications: number;
  readonly error: Error;
}

/** An open connection that has moved to another shard. */
export interface MovedConnection {
  readonly address: Address;
  /** Number of the shard where the connection is now. */
  readonly shard: number;
}

/** A connection that was to move and couldn't. */
export interface MoveFailure {
  /** Number of the shard where the connection is. */
  readonly shard: number;
  /** Id of the connection. */
  readonly id: string;
  /** Name of its actor module; undefined for the default module. */
  readonly actor: string | undefined;
  readonly reason: StayReason;
  /**
   * `ERR_STATE_NOT_CLONEABLE`, `ERR_STATE_TOO_LARGE`, or `ERR_MOVE_FAILED`, whose message says what becomes of the
   * connection. `cause` is what `suspended` threw.
   */
  readonly error: Error;
}

/** A subscription that has ended because a function can't move with its connection. */
export interface SubscriptionNotResumed {
  /** Number of the shard to which the connection has moved. */
  readonly shard: number;
  /** Id of the connection. */
  readonly id: string;
  /** Name of its actor module; undefined for the default module. */
  readonly actor: string | undefined;
  readonly topic: string;
  /** `ERR_NOT_RESUMED`, with what to do. */
  readonly error: Error;
}

/** A value that `report` of an actor told the main thread. */
export interface Report {
  readonly shard: number;
  /** Address of the actor; undefined for `Actor.report`. */
  readonly address: Address | undefined;
  /** The value, as a copy. */
  readonly value: unknown;
}

/** A thread refuses connections because few descriptors are left. It accepts again when there is room. */
export interface AcceptFailure {
  /** Number of the shard; undefined for the main thread. */
  readonly shard: number | undefined;
  /** `ERR_OUT_OF_DESCRIPTORS`, or the error of the operating system. */
  readonly error: Error;
}

/** Mail that nothing handled. */
export interface DeadLetter extends LostMail {
  /** Number of the shard that noticed; undefined for the main thread, for mail that the board sent. */
  readonly shard: number | undefined;
}

/** A handler of an actor that threw or rejected. */
export interface ActorFailure {
  readonly shard: number;
  /** Id of the connection; undefined for a `detached` failure that belongs to no actor. */
  readonly id: string | undefined;
  /**
   * Name of the actor module, of the option `actors`; undefined for the default module, and for a failure that belongs
   * to no actor.
   */
  readonly actor: string | undefined;
  /** Name of the handler. `detached`: a promise that a handler, or work that it started, created and didn't await. */
  readonly handler: string;
  /** The fate of the actor, by the `supervision` of its class. */
  readonly outcome: FailureOutcome;
  readonly error: Error;
}

/** A handler that took longer than its limit and was given up. `actorFailed` reports it as well. */
export interface HandlerTimeout {
  readonly shard: number;
  /** Id of the connection. */
  readonly id: string;
  /** Name of the actor module, of the option `actors`; undefined for the default module. */
  readonly actor: string | undefined;
  /** Name of the handler, such as `received`. */
  readonly handler: string;
  /** The limit that was reached, in milliseconds. */
  readonly limitMs: number;
}

/** A connection whose send buffer reached `maxBufferedBytes` because its peer reads too slowly. */
export interface SlowConsumer {
  readonly shard: number;
  /** Id of the connection. */
  readonly id: string;
  /** Name of the actor module, of the option `actors`; undefined for the default module. */
  readonly actor: string | undefined;
  /** Policy that applies. */
  readonly policy: SlowConsumerPolicy;
  /** Bytes that wait for the peer. */
  readonly bufferedBytes: number;
}

/** A connection that ended without a close handshake (1006). */
export interface AbnormalClosure {
  readonly shard: number;
  /** Id of the connection. */
  readonly id: string;
  /** Name of the actor module, of the option `actors`; undefined for the default module. */
  readonly actor: string | undefined;
}
