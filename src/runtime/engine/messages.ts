/**
 * All messages between an `EngineClient` (in a shard or in the main thread) and the engine thread's host, over the
 * client's port. The order on a port is the order of the calls.
 */
import type { MessagePort } from "node:worker_threads";
import type { ErrorReport } from "../../errors.ts";
import type { PulseSource } from "../stats/pulse.ts";
import type {
  EngineHealth,
  EnginePublished,
  HistoryRange,
  Member,
  PresenceChange,
  PresenceStats,
} from "../streams/engine.ts";
import type { Position } from "../streams/position.ts";
import type { TopicRule } from "../streams/topic-rules.ts";
import { stepBytes, type TakeoverAnswers, type TakeoverStep } from "./takeover/steps.ts";

/** A member as a client knows it: the host adds the node. */
export type LocalMember = Omit<Member, "node">;

/** A question of a client that the host answers. */
export type EngineRequest =
  | {
      readonly kind: "publish";
      readonly topic: string;
      /** The frame. */
      readonly bytes: Uint8Array;
      readonly idempotencyKey: string | undefined;
      readonly expiresMs: number | undefined;
      /** False: the publication isn't stored. */
      readonly store: boolean;
    }
  | { readonly kind: "history"; readonly topic: string; readonly range: HistoryRange }
  /** Everything after an offset that the topic keeps. */
  | { readonly kind: "readSince"; readonly topic: string; readonly offset: number }
  | { readonly kind: "removeHistory"; readonly topic: string }
  /** `number`: the client's number for the topic, for deliveries. A second request changes `presence`. */
  | { readonly kind: "want"; readonly topic: string; readonly number: number; readonly presence: boolean }
  | { readonly kind: "join"; readonly topic: string; readonly member: LocalMember }
  | { readonly kind: "joinAll"; readonly joins: readonly (readonly [topic: string, member: LocalMember])[] }
  | { readonly kind: "leave"; readonly topic: string; readonly address: string }
  | { readonly kind: "members"; readonly topic: string; readonly limit: number }
  | { readonly kind: "memberStats"; readonly topic: string }
  /** Only from the client of the main thread. */
  | {
      readonly kind: "sendControl";
      readonly to: string | undefined;
      readonly message: string;
      /** True for a message that waits at a cut: see `EngineCuts`. */
      readonly waits: boolean;
    }
  /** Only from the client of the main thread. */
  | { readonly kind: "announce"; readonly facts: string }
  /** Answered when the engine has all that the client has sent before, and after all that the client gets before. */
  | { readonly kind: "settle" }
  /** Only from the client of the main thread. */
  | { readonly kind: "takeover"; readonly step: TakeoverStep };

/** A request about streams or presence: during a takeover, only one of the two processes answers it. */
export type StateRequest = Extract<
  EngineRequest,
  { readonly kind: "publish" | "history" | "readSince" | "removeHistory" | "members" | "memberStats" }
>;

const ABOUT_STATE: ReadonlySet<EngineRequest["kind"]> = new Set<StateRequest["kind"]>([
  "publish",
  "history",
  "readSince",
  "removeHistory",
  "members",
  "memberStats",
]);

export function isAboutState(request: EngineRequest): request is StateRequest {
  return ABOUT_STATE.has(request.kind);
}

/** The answer to a `StateRequest`. */
export type StateAnswer = EngineAnswers[StateRequest["kind"]];

/** A read of a stream with its publications packed by `BatchWriter.appendRecord`. */
export interface PackedRead {
  readonly top: Position;
  readonly batch: ArrayBuffer;
}

/** The answer to each kind of request. */
export interface EngineAnswers {
  readonly publish: EnginePublished;
  readonly history: PackedRead;
  readonly readSince: PackedRead;
  readonly removeHistory: undefined;
  /** The top, for a topic with history: every later publication follows. */
  readonly want: Position | undefined;
  readonly join: undefined;
  /** The joins that failed, by their places in the request. */
  readonly joinAll: readonly (readonly [index: number, error: ErrorReport])[];
  readonly leave: undefined;
  readonly members: readonly Member[];
  readonly memberStats: PresenceStats;
  readonly sendControl: undefined;
  readonly announce: undefined;
  readonly settle: undefined;
  readonly takeover: TakeoverAnswers[TakeoverStep["kind"]];
}

/** One call of a client. */
export type ClientCall =
  | { readonly kind: "request"; readonly serial: number; readonly request: EngineRequest }
  | { readonly kind: "unwant"; readonly topic: string }
  /** The connection with this address, a member in these topics, leaves the thread, and joins again elsewhere. */
  | { readonly kind: "letGo"; readonly address: string; readonly topics: readonly string[] }
  /** Answers `passedOn`. Only from the client of the main thread. */
  | { readonly kind: "passedBack"; readonly serial: number; readonly answer: StateAnswer }
  | { readonly kind: "passedBack"; readonly serial: number; readonly error: ErrorReport }
  /** Tells the number of the client's thread, before all else. */
  | { readonly kind: "life"; readonly life: number }
  /**
   * Asks for a cut: the host posts `marked` to the client and to the one in the thread `from`, in line with deliveries.
   * Subscribers move from there to the client's thread.
   */
  | { readonly kind: "cut"; readonly from: number; readonly move: number };

/** Message from a client to the host. */
export type ClientMessage =
  /**
   * Publishes and relays, packed by `BatchWriter.append`. The topic's number in a record has `RELAY_FLAG` for a relay.
   * The records of all batches of a port have the serials 0, 1, 2 and so on.
   */
  | {
      readonly kind: "publishes";
      readonly batch: ArrayBuffer;
      /** True if the numbers of topics begin anew, before this batch. */
      readonly renumbered: boolean;
      /** Topics that appear for the first time. Their numbers follow the last one. */
      readonly topics: readonly string[];
    }
  | { readonly kind: "calls"; readonly calls: readonly ClientCall[] }
  /** Bytes of deliveries that the client has handled. */
  | { readonly kind: "consumed"; readonly bytes: number };

/** Bit in the number of a topic that tells a relay, or a publish that isn't stored, from a publish. */
export const RELAY_FLAG = 0x8000_0000;

/** Number of topics that a client gives numbers to before the numbers begin anew. */
export const MAX_NUMBERED_TOPICS = 65_536;

/** Publishes that failed for the same reason. */
export interface FailedPublishes {
  readonly error: ErrorReport;
  readonly serials: readonly number[];
}

/** Something that the host tells a client, in order with the deliveries. */
export type HostNotice =
  | {
      readonly kind: "answered";
      readonly serial: number;
      /** The answer, by the kind of the request. */
      readonly answer: EngineAnswers[EngineRequest["kind"]];
    }
  | { readonly kind: "refused"; readonly serial: number; readonly error: ErrorReport }
  /** The deliveries of a wanted topic that follow are of another epoch. */
  | { readonly kind: "epochChanged"; readonly number: number; readonly epoch: string }
  | { readonly kind: "topTold"; readonly number: number; readonly top: Position }
  /** Deliveries of a wanted topic with history may be lost before those that follow. `topTold` comes later. */
  | { readonly kind: "interrupted"; readonly number: number }
  | { readonly kind: "presenceChanged"; readonly number: number; readonly change: PresenceChange }
  /** Changes of presence of a wanted topic may have been lost. */
  | { readonly kind: "presenceDoubted"; readonly number: number }
  /** Answers a cut, in both threads of a move: what the thread `from` gets from here on is for the other thread. */
  | { readonly kind: "marked"; readonly from: number; readonly move: number }
  /** Asks the main thread for an answer of the other process of a takeover. */
  | { readonly kind: "passedOn"; readonly serial: number; readonly request: StateRequest }
  | { readonly kind: "controlReceived"; readonly from: string; readonly message: string }
  | { readonly kind: "nodeChanged"; readonly id: string; readonly facts: string | undefined }
  | { readonly kind: "healthChanged"; readonly health: EngineHealth }
  | { readonly kind: "gaugesTold"; readonly gauges: Readonly<Record<string, number>> };

/** Message from the host to a client. */
export type HostMessage =
  /** Outcomes of publishes and relays. A relay gets the offset 0. Doesn't wait for the deliveries before it. */
  | {
      readonly kind: "acknowledged";
      readonly serials: Float64Array<ArrayBuffer>;
      readonly offsets: Float64Array<ArrayBuffer>;
      /**
       * Epochs that the topics have from some of the serials on, in the order of `serials`: told with the first publish
       * to a topic, and after a change.
       */
      readonly epochs: readonly { readonly serial: number; readonly epoch: string }[];
      readonly failed: readonly FailedPublishes[];
    }
  /** Deliveries, packed by `BatchWriter.appendRecord`. A relayed message has the offset 0. */
  | { readonly kind: "deliveries"; readonly batch: ArrayBuffer }
  | { readonly kind: "notices"; readonly notices: readonly HostNotice[] };

/** Returns the bytes that a request counts for in what may be under way. */
export function requestBytes(request: EngineRequest): number {
  if (request.kind === "publish") return request.bytes.length;
  if (request.kind === "announce") return 2 * request.facts.length;
  if (request.kind === "takeover") return stepBytes(request.step);
  return request.kind === "sendControl" ? 2 * request.message.length : 0;
}

/** Bytes that a notice without data counts for. */
const NOTICE_BYTES = 128;
/** Bytes that a gauge counts for, roughly. */
const GAUGE_BYTES = 64;

/**
 * Returns the bytes that a notice counts for in the window of its client, about the memory that the notice takes. Those
 * with 0 are few: as many as there are requests.
 */
export function windowBytes(notice: HostNotice): number {
  switch (notice.kind) {
    case "answered":
      return notice.answer !== undefined && "batch" in notice.answer ? notice.answer.batch.byteLength : 0;
    case "topTold":
      return NOTICE_BYTES;
    case "presenceChanged": {
      const { member, topic } = notice.change;
      return 2 * NOTICE_BYTES + 2 * (topic.length + (member.user?.length ?? 0) + (member.info?.length ?? 0));
    }
    case "controlReceived":
      return NOTICE_BYTES + 2 * notice.message.length;
    case "nodeChanged":
      return NOTICE_BYTES + 2 * (notice.id.length + (notice.facts?.length ?? 0));
    case "healthChanged":
      return NOTICE_BYTES + 2 * (notice.health.reason?.length ?? 0);
    case "gaugesTold":
      return NOTICE_BYTES + GAUGE_BYTES * Object.keys(notice.gauges).length;
    default:
      return 0;
  }
}

/** The settings with which the engine thread starts. */
export interface EngineTask {
  /** URL of the engine's module. */
  readonly module: string;
  /** Options of the engine: a value that can be cloned. */
  readonly options: unknown;
  /** Id of this node. */
  readonly node: string;
  /** The rules of topics, as `checkTopics` returns them. */
  readonly rules: readonly TopicRule[];
  /** Memory of the thread's pulse, for the watchdog; undefined without a watchdog. */
  readonly pulse: PulseSource | undefined;
  readonly control: MessagePort;
}

/** Order from the main thread to the engine thread. */
export type EngineOrder =
  | {
      readonly kind: "client";
      readonly port: MessagePort;
      /** True for the client of the main thread. */
      readonly isMain: boolean;
    }
  | { readonly kind: "stop" };

/** Report of the engine thread to the main thread: the engine works. */
export interface EngineReport {
  readonly kind: "ready";
  /** True if other nodes may run the same engine. */
  readonly isShared: boolean;
}
