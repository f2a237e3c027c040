/**
 * The port of engines. An engine keeps streams and presence, and carries publishes and control messages between the
 * nodes of a cluster. The engine thread runs one engine; README.md has the contract, and
 * `test/runtime/streams/engine-contract.ts` is the suite that every engine passes.
 */
import type { Frame } from "../../wire/protocol/frame.ts";
import type { Maybe } from "./maybe.ts";
import type { Position } from "./position.ts";
import type { StreamRecord } from "./publication.ts";
import type { EngineCuts, EngineTransfer } from "./takeover.ts";

/** The part of a stream that is kept. */
export interface HistoryLimits {
  /** Number of publications. From 1. */
  readonly size: number;
  /** Time after the last publication for which the publications are kept, in ms. */
  readonly ttlMs: number;
  /**
   * Time after the last publication or read for which epoch and top offset are kept, in ms. At least `ttlMs`. While a
   * topic is wanted, its owner reads the top now and then, or the engine keeps both by itself.
   */
  readonly metaTtlMs: number;
}

export interface EnginePublish {
  readonly frame: Frame;
  /**
   * A second publish to the topic with this key, within five minutes, gets the position of the first and reaches
   * nobody. The caller has checked the key's length.
   */
  readonly idempotencyKey?: string | undefined;
  /** Time after which the publication isn't handed out any more, in ms. Default: that of the history. */
  readonly expiresMs?: number | undefined;
  /**
   * False: the publication isn't stored and gets no offset. The caller gives no key and no time with it. Default: true.
   */
  readonly store?: boolean | undefined;
}

/** Place of a publication that isn't stored. */
export const NO_POSITION: Position = Object.freeze({ epoch: "", offset: 0 });

export interface EnginePublished {
  /** `NO_POSITION` for a publication that isn't stored. */
  readonly position: Position;
  /** True if the idempotency key was known: nothing was published. */
  readonly duplicate: boolean;
}

/** Which publications a read returns. */
export interface HistoryRange {
  /**
   * Offset after which the read begins; with `reverse`, offset before which it begins. Default: the end to begin at.
   */
  readonly since?: number | undefined;
  /** Number of publications that are returned at most. 0: only the top. */
  readonly limit: number;
  /** True for the newest first. */
  readonly reverse?: boolean | undefined;
}

export interface HistoryRead {
  /** Position of the newest publication that the stream ever had. */
  readonly top: Position;
  /**
   * The publications, in the order that was asked for. Expired and removed ones are missing: whoever needs a chain
   * without a hole checks the offsets.
   */
  readonly records: readonly StreamRecord[];
}

/** One connection that is subscribed to a topic with presence. */
export interface Member {
  /** Address of the connection's actor. */
  readonly address: string;
  /** Id of the node. */
  readonly node: string;
  /** User of the connection; undefined if the actor gave none. */
  readonly user: string | undefined;
  /** JSON text that the actor gave about the connection; undefined if none. */
  readonly info: string | undefined;
}

export interface PresenceStats {
  /** Number of connections. */
  readonly connections: number;
  /** Number of distinct users. Connections without a user count as one user each. */
  readonly users: number;
}

/**
 * A connection has joined a topic with presence, or has left it and its grace time is over. A `joined` of an address
 * that is known tells its new info. `left`, then `joined`, of one address is a change of its user.
 */
export interface PresenceChange {
  readonly kind: "joined" | "left";
  readonly topic: string;
  readonly member: Member;
  /**
   * True for the first connection of its user that joins, and for the last that leaves. A connection in its grace time
   * still counts as one of its user. A connection without a user counts as a user of its own.
   */
  readonly ofUser: boolean;
}

/**
 * State of an engine:
 *
 * - `up`: the engine works.
 * - `deaf`: the engine is connected, but publications of others don't arrive.
 * - `down`: the engine can't be reached.
 */
export type EngineStatus = "up" | "deaf" | "down";

export interface EngineHealth {
  readonly status: EngineStatus;
  /** The fault, in a sentence; with `up`: the reason why the engine refuses to store, while it reads and delivers. */
  readonly reason?: string | undefined;
}

/** A node of the cluster, as every other node knows it. */
export interface NodeInfo {
  readonly id: string;
  /** Facts that the node announces with each heartbeat, as JSON. */
  readonly facts: string;
}

/** The callbacks of an engine. Each call is about one node: the one that runs the engine object. */
export interface EngineOwner {
  /**
   * A publication of a wanted stream. Within an epoch the offsets rise; a publication that was lost on the way is
   * simply missing. The frame's memory stays unchanged.
   */
  published(topic: string, epoch: string, record: StreamRecord): void;
  /**
   * A message to a wanted topic without an offset: of `relay` on another node, or of `publish` with `store: false` on
   * any node, this one included.
   */
  relayed(topic: string, frame: Frame): void;
  /**
   * Publications to a wanted topic may be lost, and those that are reported from now on came after them. `doubted`
   * follows, once the engine can be read. An engine whose connections are never interrupted doesn't call it.
   */
  interrupted(topic: string): void;
  /** A member of a wanted topic has joined or left. */
  presenceChanged(change: PresenceChange): void;
  /** Publications may have been lost: every wanted stream is to be compared with its top. */
  doubted(): void;
  healthChanged(health: EngineHealth): void;
  /** A control message from another node, or one that this node sent to itself by its id. */
  controlReceived(from: string, message: string): void;
  /** Another node has appeared, has changed its facts, or is gone (`facts` is then undefined). */
  nodeChanged(id: string, facts: string | undefined): void;
}

/**
 * One engine object of one node.
 *
 * An engine MUST give each publication of a stream the next offset, exactly once, in the order of the calls of one
 * node. It MUST store a publication before it resolves, and MUST reject what it hasn't stored. It MUST call `published`
 * for every publication of a wanted stream, also for this node's own. It MUST NOT call `published` with a lower offset
 * than before within an epoch. With `store: false` it MUST call `relayed` on each node that wants the topic, in order
 * with the node's other publishes to the topic, and MUST NOT change the stream. When it can't tell whether something
 * was lost it MUST call `doubted`. It MUST begin another epoch when offsets could repeat. It MUST bound all that it
 * keeps.
 */
export interface Engine {
  /** True if other nodes may run the same engine: topics without history go through it as well. */
  readonly isShared: boolean;

  /** The part of a shared engine that takeovers need. Without it, what others publish during a takeover may be lost. */
  readonly cuts?: EngineCuts;

  /**
   * The part of an engine whose memory ends with its process that takeovers need. Without it, streams begin anew in the
   * next process.
   */
  readonly transfer?: EngineTransfer;

  /** Resolves when the engine works. Rejects with `ERR_ENGINE_UNREACHABLE` and what to check. Called once, first. */
  start(owner: EngineOwner): Promise<void>;

  /**
   * Rejects (or throws, in an engine that answers at once) with `ERR_ENGINE_UNAVAILABLE` or `ERR_ENGINE_FULL` if the
   * publication isn't stored for certain.
   */
  publish(topic: string, publish: EnginePublish, limits: HistoryLimits): Maybe<EnginePublished>;

  /** Reads a part of a stream. Creates the stream's epoch if there is none. */
  history(topic: string, range: HistoryRange, limits: HistoryLimits): Maybe<HistoryRead>;

  /** Removes the publications of a stream. The epoch and the top stay. */
  removeHistory(topic: string, limits: HistoryLimits): Maybe<void>;

  /** Publishes to other nodes, at most once, without history. */
  relay(topic: string, frame: Frame): void;

  /** Wants a topic: everything that is published to it after the resolution is reported. */
  want(topic: string): Maybe<void>;

  /**
   * Resolves with true when everything that was published to a wanted topic before the call has been reported, and with
   * false if a part may be lost. For engines whose reads may be ahead of their reports.
   */
  reported?(topic: string): Promise<boolean>;
  unwant(topic: string): void;

  /**
   * Adds a member of this node, or replaces the member with its address, also one in its grace time. Rejects like
   * `publish`, unless the engine stores a new member by itself as soon as there is room. What is reported of a
   * replacement, at once:
   * - same user, same info: nothing;
   * - same user, other info: `joined` with the new info, `ofUser` false;
   * - other user: `left` of the old member, then `joined` of the new one, each with its `ofUser`.
   */
  join(topic: string, member: Member, rule: PresenceLimits): Maybe<void>;
  /**
   * Removes a member of this node. The change is reported after `rule.leaveGraceMs`. An address that isn't a member, or
   * has left already, is ignored.
   */
  leave(topic: string, address: string, rule: PresenceLimits): Maybe<void>;
  /**
   * Lets go of a member of this node, whose connection is on its way to another process: the member stays listed, and
   * nothing is reported, until it joins again, here or there. After `TRAVEL_MS` without a join it leaves. Never throws.
   */
  letGo(topic: string, address: string): void;
  /** The members now, without those in their grace time; at most `limit`. */
  members(topic: string, limit: number): Maybe<readonly Member[]>;
  memberStats(topic: string): Maybe<PresenceStats>;

  /**
   * Sends a control message, at most once: to the node with an id, also to this one, or to all nodes but this one if
   * `to` is undefined. A message to a node that isn't there is dropped.
   *
   * @param waits true if the message is one that waits at a cut: see `EngineCuts`. Default: false
   */
  sendControl(to: string | undefined, message: string, waits?: boolean): void;
  /** Sets what this node tells others about itself, as JSON. */
  announce(facts: string): void;

  /** Numbers for metrics: a name in snake case and a value. */
  gauges(): Readonly<Record<string, number>>;

  /** Ends the engine: presence of this node is removed, links are closed. Resolves at the latest after a second. */
  stop(): Promise<void>;
}

/** Settings of the presence of a topic. */
export interface PresenceLimits {
  /** Time after which a connection that has left is reported as gone, in ms. 0: at once. */
  readonly leaveGraceMs: number;
  /** True if joins and leaves are reported. */
  readonly changes: boolean;
}

/** An engine as an option: a module that the engine thread loads, and options for it. */
export interface EngineSpec {
  /** Name for logs and statistics: `memory`, `redis`. */
  readonly name: string;
  /** URL of a module whose default export is an `EngineFactory`. */
  readonly module: string;
  /** Options of the module: a value that can be cloned. */
  readonly options: unknown;
}

/** Creates the engine object of a node. */
export type EngineFactory = (options: unknown, node: string) => Maybe<Engine>;
