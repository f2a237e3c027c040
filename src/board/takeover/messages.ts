/**
 * The messages between the two processes of a takeover. A change that the other version can't read is a new protocol.
 */
import type { ErrorCode, ErrorReport } from "../../errors.ts";
import type { PassedPublish } from "../../runtime/feeds/topics.ts";

/** Version of these messages and of the states of connections. Processes with different versions refuse each other. */
export const TAKEOVER_PROTOCOL = 4;

/** Facts of one of the two processes. */
export interface TakeoverFacts {
  readonly protocol: number;
  /** Version of Node. */
  readonly node: string;
  /** Version of the format in which `node:v8` writes. Every Node reads its own and older ones. */
  readonly format: number;
  /** `moves` of the actor classes, by the name of their module, "" for the default one; null for a class without. */
  readonly moves: Readonly<Record<string, number | null>>;
  /** Number of files that the process can still open. */
  readonly room: number;
  /** Number of shards. Addresses of connections name their shard. */
  readonly shards: number;
  /** Format in which the process gives and takes what its engine keeps; undefined if it doesn't. */
  readonly state?: string | undefined;
  /** True if the process takes what the main program of the other gives. Older versions of Switchboard don't tell. */
  readonly takesProgramState?: boolean | undefined;
}

/** Message from the process that takes over. */
export type SuccessorMessage =
  | { readonly kind: "hello"; readonly facts: TakeoverFacts }
  /** The program listens with the sockets of `welcome`. */
  | { readonly kind: "listening" }
  /** The luggage, or the sockets, before have been taken. */
  | { readonly kind: "taken" }
  /** All connections of the message with this number have arrived, and their states can be read. */
  | { readonly kind: "adopted"; readonly serial: number }
  /** All connections run, and the next takeover is awaited. */
  | { readonly kind: "finished" }
  /** The takeover can't go on. Connections without a "go" have been let go of. */
  | { readonly kind: "failed"; readonly code: ErrorCode; readonly message: string }
  | Aside
  | Alive;

/** Message from the process that is taken over. */
export type PredecessorMessage =
  /** Nothing was stopped. */
  | { readonly kind: "refused"; readonly message: string }
  /** Names of the listening sockets; their descriptors come with the message. */
  | { readonly kind: "welcome"; readonly facts: TakeoverFacts; readonly listeners: readonly string[] }
  /**
   * Luggage beside connections: a value that the source gives and the sink understands. A source gives a new kind only
   * to a process whose facts ask for it. A sink answers `taken` to a kind that it doesn't know.
   */
  | { readonly kind: "luggage"; readonly luggage: unknown }
  /**
   * Sockets that go ahead of their connections, which the old process serves. Their descriptors come with the message.
   * Nobody reads them here before "go".
   */
  | { readonly kind: "ahead"; readonly numbers: readonly number[] }
  /**
   * Connections that are stopped. Nobody serves them until "go". The descriptors of those without a number in `ahead`
   * come with the message, in order.
   */
  | {
      readonly kind: "connections";
      readonly serial: number;
      readonly states: readonly Uint8Array[];
      readonly shards: readonly number[];
      readonly ahead: readonly (number | undefined)[];
    }
  /** All connections that were adopted belong to the successor only. */
  | { readonly kind: "go" }
  /** There is nothing left to take over. */
  | { readonly kind: "done" }
  /** After "finished": the old process needs the successor no more. It has nothing to publish and to ask. */
  | { readonly kind: "left" }
  /** Publishes of the old process after "finished", for the subscribers that have gone. */
  | { readonly kind: "published"; readonly publishes: readonly PassedPublish[] }
  | Aside
  | Alive;

/** A question to the other process beside the steps, perhaps with sockets, or the answer to one. */
export type Aside =
  | { readonly kind: "asked"; readonly serial: number; readonly question: unknown }
  | { readonly kind: "answered"; readonly serial: number; readonly answer: unknown }
  | { readonly kind: "answered"; readonly serial: number; readonly error: ErrorReport };

/** The other process of a takeover, as sources and sinks know it. */
export interface OtherProcess {
  /** `state` of its facts. */
  readonly state: string | undefined;
  /** `takesProgramState` of its facts. */
  readonly takesProgramState: boolean;
  /** True once the other process has ended, or the channel to it is closed: no question can reach it any more. */
  readonly hasEnded: boolean;
  /**
   * Asks something. Rejects with the error of the other process, with `ERR_TAKEOVER_LOST` when that ends before it has
   * answered, and with the error of a question that can't be sent.
   *
   * @param sockets copies of these go along, towards the process that takes over only. They stay open here.
   */
  ask(question: unknown, sockets?: readonly number[]): Promise<unknown>;
}

/**
 * Answers a question of the other process.
 *
 * @param sockets sockets that came with the question. They belong to the function, also if it rejects.
 */
export type AnswerQuestion = (question: unknown, sockets: readonly number[]) => Promise<unknown>;

/** Sent now and then by a process that works on something. */
export interface Alive {
  readonly kind: "alive";
}

/** A connection on its way: stopped in one process, and not yet started in the other. */
export interface MovingConnection {
  /** Descriptor of the socket. Its owner closes it, or makes a socket of it. */
  readonly descriptor: number;
  readonly state: Uint8Array;
  /** Number of the shard in the connection's address. */
  readonly shard: number;
  /** Number under which the socket has gone ahead; undefined if it hasn't. */
  readonly ahead?: number | undefined;
}

/** A socket that goes ahead of its connection. */
export interface AheadSocket {
  readonly number: number;
  /** Stays the connection's. */
  readonly descriptor: number;
}

/** A listening socket on its way. */
export interface MovingListener {
  /** Tells what the socket is for, so that the successor knows it again. */
  readonly name: string;
  readonly descriptor: number;
}
