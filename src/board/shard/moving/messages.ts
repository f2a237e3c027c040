/** All messages about connections that move: from the main thread to a shard and back, and between two shards. */
import type { ErrorReport } from "../../../errors.ts";
import type { Address } from "../../../runtime/actor/address.ts";
import type { StayReason } from "../../../runtime/actor/moving/suspension.ts";
import type { TcpHandle } from "../../../wire/node-internals/net.ts";
import type { BareSocket, RelayedStream } from "../../../wire/transport/transport.ts";
import type { GivenServer } from "../../accept/sockets/socket-acceptor.ts";
import type { ShutdownSettings } from "../shutdown.ts";

/** Question to a shard: move connections. The shard answers with `MoveCounts` when each has moved or stays. */
export interface MoveQuery {
  readonly kind: "move";
  /** Lives of the threads that take the connections, in turn. */
  readonly to: readonly number[];
  /** The connections that move; undefined for all. */
  readonly addresses: readonly Address[] | undefined;
  /** Largest number of connections that move. */
  readonly count: number;
  /** Time that an actor has to become idle and to be suspended, in ms. */
  readonly limitMs: number;
}

/**
 * Question to every shard: send mail for the addresses of a shard to another thread from now on. The thread that has
 * these addresses answers when it may end; all others answer at once.
 */
export interface SucceedQuery {
  readonly kind: "succeed";
  readonly shard: number;
  /** Life of the thread that takes the addresses. */
  readonly life: number;
}

/**
 * Question to a thread that has been replaced: close all connections but those whose TLS the thread does. The shard
 * answers with `StayerCounts` when the others are gone.
 */
export interface CloseStayersQuery {
  readonly kind: "closeStayers";
  readonly settings: ShutdownSettings;
}

/** Question to a shard, which answers when it has no connection any more. */
export interface EmptiedQuery {
  readonly kind: "emptied";
}

export interface StayerCounts {
  /** Connections that were closed. */
  readonly closed: number;
  /** Connections that go on. */
  readonly kept: number;
}

/** Numbers of connections that have moved, and of connections that have stayed. */
export interface MoveCounts {
  readonly moved: number;
  /** Numbers of connections that didn't move, by the reason. */
  readonly stayed: Readonly<Partial<Record<MoveFailureReason, number>>>;
}

/**
 * Why a connection didn't move. `gone`: there is no such connection. `lost`: it left, and was closed because `resumed`
 * threw, or because the other shard ended.
 */
export type MoveFailureReason = StayReason | "gone" | "lost";

/** A connection that has left a shard. */
export interface Departure {
  readonly address: Address;
  /** Life of the thread that takes the connection. */
  readonly to: number;
  /** Number of moves of the connection, this one included. */
  readonly hops: number;
  /** Key under which the client is counted; undefined if clients aren't counted. */
  readonly clientKey: string | undefined;
}

/** A connection that has arrived in a shard, or one that had arrived and has closed there. */
export interface Arrival {
  readonly address: Address;
  readonly hops: number;
}

/** Outcome of `resumed` for a connection that has arrived. */
export interface Resumption extends Arrival {
  /** True if the connection was closed because `resumed` threw. */
  readonly isLost: boolean;
}

/** Answers of a tick to the shard that connections have left, on the port between the two. */
export interface ResumptionsMessage {
  readonly kind: "resumptions";
  readonly resumptions: readonly Resumption[];
}

/** A shard's report to the main thread about the moves of one tick. */
export interface MovesReport {
  readonly kind: "moves";
  readonly departed: readonly Departure[];
  readonly arrived: readonly Arrival[];
  /** Connections that came by a move and have closed. */
  readonly closed: readonly Arrival[];
}

/** A listening server on its way to another shard, on the port between the two. Its queue of connections goes along. */
export interface ListeningServerMessage extends GivenServer {
  readonly kind: "listeningServer";
}

/** Everything that travels with a connection beside its state and what carries its bytes. */
export interface Luggage {
  /** Time of the opening, as of `Date.now()`. */
  readonly openedAt: number;
  /** Key under which the client is counted; undefined if clients aren't counted. */
  readonly clientKey: string | undefined;
  /** Number of moves of the connection. */
  readonly hops: number;
}

interface TravellingConnection extends Luggage {
  /** `ConnectionState`, as `v8.serialize` writes it. */
  readonly state: Uint8Array;
}

/** A connection on its way to another shard, on the port between the two. */
export interface ConnectionMessage extends TravellingConnection {
  readonly kind: "connection";
  readonly socket: BareSocket;
}

/** The same for a connection whose bytes the main thread relays. */
export interface RelayedConnectionMessage extends TravellingConnection {
  readonly kind: "relayedConnection";
  readonly stream: RelayedStream;
}

/** Ids of the nodes in the addresses of connections, each with the number of its connections. */
export type NodeCounts = readonly (readonly [node: string, count: number])[];

/**
 * Question to a shard: wait until each actor of a connection that can go to another process was idle once. Everybody
 * goes on meanwhile, except connections that were too slow for an earlier `standStill`. The answer is the nodes in the
 * addresses of these connections.
 */
export interface CalmQuery {
  readonly kind: "calm";
  readonly limitMs: number;
}

/**
 * Question to a shard: read no more from the peers of connections that can go to another process, and wait until no
 * handler is under way. An actor whose handler waits for the answer of another actor must end it before that other
 * actor is suspended. The answer is the number of connections whose handlers go on.
 */
export interface StandStillQuery {
  readonly kind: "standStill";
  /** Time that handlers have, in ms. */
  readonly limitMs: number;
  /** The same for few handlers, while all others stand. */
  readonly fewLimitMs: number;
  /** True to give up connections whose handlers go on. Otherwise `calm` comes again. */
  readonly isLast: boolean;
}

/**
 * Question to a shard: suspend the actors of all connections that can go to another process. The answer is their
 * number. A suspended connection goes on sending what its topics bring; its messages and mail wait.
 */
export interface SuspendAllQuery {
  readonly kind: "suspendAll";
  /** Time that an actor has to become idle and to be suspended, in ms. */
  readonly limitMs: number;
  /** The same for the last few, once all others are suspended. */
  readonly fewLimitMs: number;
}

/** Question to a shard: let all connections go on that are suspended and weren't given up. */
export interface ResumeAllQuery {
  readonly kind: "resumeAll";
}

/**
 * Question to a shard: take back the sockets that were lent last, and lend the next ones of connections that can go to
 * another process. Lent sockets stay open, and their connections go on. No connection moves between shards meanwhile.
 */
export interface LendQuery {
  readonly kind: "lend";
  readonly count: number;
  /** Number for the first of these sockets. The following ones count on. */
  readonly first: number;
}

/** A socket that the main thread may send to another process until the next `lend`. */
export interface LentSocket {
  /** Number of the socket among all that go ahead. */
  readonly number: number;
  readonly descriptor: number;
}

/**
 * Question to a shard: give up suspended connections for another process, at most `count`. The main thread claims each
 * descriptor of the answer (`claimDescriptor`) from the shard's estate or from `list`. Descriptors that nobody has
 * claimed when the thread has ended are closed by the settlement.
 */
export interface PassOutQuery {
  readonly kind: "passOut";
  readonly count: number;
  /**
   * Memory of an estate for the descriptors of Node's sockets. Undefined for a shard with io_uring, and without
   * numbers.
   */
  readonly list: SharedArrayBuffer | undefined;
}

/**
 * Question to a shard: read the states of connections that came from another process, or that couldn't go there. The
 * shard keeps them until `startPassed`. The answer is an error if a state can't be read: then none is kept.
 */
export interface PassInQuery {
  readonly kind: "passIn";
  readonly connections: readonly PassedConnection[];
  /** True for connections that this process has given up itself. */
  readonly isReturn: boolean;
}

/** Answer to `passIn`. */
export interface TakenIn {
  /** Error of a state that can't be read. */
  readonly error: ErrorReport | undefined;
}

/**
 * Question to a shard: start the connections of all `passIn`. After it, `settle` waits until other threads know their
 * topics.
 */
export interface StartPassedQuery {
  readonly kind: "startPassed";
}

/**
 * Question to a shard: keep the handles of connections of `passIn`, where numbers don't hold sockets, for
 * `startPassed`.
 */
export interface PassHandlesQuery {
  readonly kind: "passHandles";
  /** Handles by the numbers in `passIn`. */
  readonly handles: ReadonlyMap<number, TcpHandle>;
}

/** Question to a shard: take addresses of these nodes for addresses of this node, from now on. */
export interface AnswerForQuery {
  readonly kind: "answerFor";
  readonly nodes: readonly string[];
}

/** Connections that have been started. */
export interface StartedConnections {
  /** Number of connections that run. */
  readonly running: number;
  /** Keys of their clients, where clients are counted. */
  readonly clientKeys: readonly string[];
}

/** A connection that a shard has given up for another process. Its holder closes the socket. */
export interface GivenUpConnection extends Omit<PassedConnection, "descriptor"> {
  readonly socket: BareSocket;
}

/** A connection without an owner among the shards, on its way to another process. */
export interface PassedConnection {
  /**
   * Number of the socket: with `node:ffi` a descriptor that is valid in every thread, else the main thread's name for
   * it.
   */
  readonly descriptor: number;
  /** `PassedState`, as `v8.serialize` writes it. */
  readonly state: Uint8Array;
  /** Number of the shard in the address. */
  readonly shard: number;
  /** Number under which the socket has gone ahead (`LentSocket`). */
  readonly ahead?: number | undefined;
}
