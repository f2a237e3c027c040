/** The options of `Switchboard.start`: types, defaults and checks. */
import { availableParallelism, hostname } from "node:os";
import type { EngineSpec } from "../../../runtime/streams/engine.ts";
import { memory } from "../../../runtime/streams/memory/memory-options.ts";
import { checkTopics, type TopicRule, type TopicsOption } from "../../../runtime/streams/topic-rules.ts";
import { optionError } from "../../../wire/handshake/option-check.ts";
import { type CompressionOptions, DEFAULT_COMPRESSION } from "../../../wire/protocol/deflate/compression.ts";
import { HANDOFF_TIMEOUT_MS } from "../../../wire/transport/pending-handoffs.ts";
import type { AdmissionLimits } from "../../accept/admission-control.ts";
import type { ActorName, ConnectionLimits } from "../../connection/connection-host.ts";
import { type Placement, placesByRequest } from "../pool/placement.ts";
import { check, pick, withoutUndefined } from "./option-validation.ts";
import { type AutoRecycleOptions, checkAutoRecycle, type RecycleSettings } from "./recycle-options.ts";
import { checkTakeoverOption, type TakeoverOptions, type TakeoverSettings } from "./takeover-options.ts";

/**
 * Limits of one shard's thread, in MiB, as in `node:worker_threads`. A shard that needs more ends. Default: Node's
 * limits.
 */
export interface ShardResourceLimits {
  /** Heap of JavaScript objects. Buffers are not part of it. */
  readonly maxOldGenerationSizeMb?: number;
  /** Part of the heap for new objects. Default: 8. */
  readonly maxYoungGenerationSizeMb?: number;
  readonly stackSizeMb?: number;
}

/** Options of a board. Times are in milliseconds, sizes in bytes. */
export interface StartOptions extends Partial<Omit<ConnectionLimits, "compression">>, AdmissionLimits {
  /**
   * File URL of the actor module, as a URL (`new URL("./chat.ts", import.meta.url)`) or a string. The default export of
   * the module is the actor class.
   */
  readonly actor: URL | string;
  /**
   * File URLs of more actor modules, by name: 1 to 64 letters, digits, `_` and `-`. A route names one with its option
   * `actor` (`attach(server, { path: "/admin", actor: "admin" })`); any other route is served by the default module.
   * Every shard loads all modules. Default: none.
   */
  readonly actors?: Readonly<Record<string, URL | string>>;
  /** Number of worker threads. Default: "auto", one for each core that the process may use. */
  readonly shards?: number | "auto";
  /**
   * True to let each shard make 250 connections in memory before it is ready, so that V8 has compiled what the first
   * real connections need. The actor module takes no part, and nothing is counted. The warm-up takes about 30 ms, at
   * most 200 ms. A shard skips it when something that was preloaded (`--import`) listens on a diagnostics channel of
   * Switchboard. Default: true.
   */
  readonly warmUp?: boolean;
  /**
   * Compression of messages (permessage-deflate, RFC 7692) with peers that offer it. `true`: with the default options.
   * Default: false.
   */
  readonly compression?: boolean | Partial<CompressionOptions>;
  /**
   * Way of connections to the network. "node" moves sockets that can be moved (TCP, from Node 24.20 or 26.6 on) to
   * their shards, and relays the bytes of all others. "uring" does the same, but the shards receive, send and accept
   * through io_uring, past Node's sockets: experimental, for Linux 6.1 and Node 26.9 or newer; `start` rejects with
   * `ERR_NO_URING` where it can't work. "relay" moves none. "auto" is "node". Default: "auto".
   */
  readonly sockets?: SocketsOption;
  /**
   * Choice of the shard for a new connection, after `authorize`: the shard with the fewest connections, the next shard,
   * the shard of a key of the request (`stickyBy`), or a function. The last two need the handshake in the main thread.
   * Default: "leastConnections".
   */
  readonly placement?: Placement;
  /**
   * Number of connections that may move in a second from the fullest to the emptiest shard, while these differ by at
   * least 16 connections and a tenth. Only connections whose class has `static moves` move. Needs a placement that
   * doesn't look at the request. Default: 0, none.
   */
  readonly rebalance?: number;
  /**
   * Bounds of a shard's memory and of the delay of its event loop. The thread of a shard that is above one for long is
   * replaced, and its connections go on in the new thread, as in `board.recycle`: one shard at a time. Connections
   * whose class has no `static moves` are closed with 1012. Default: no shard is replaced by itself.
   */
  readonly recycle?: AutoRecycleOptions;
  /**
   * Delay of a shard's event loop, as a mean over about a second, above which the shard gets no new connections.
   * Default: 200.
   */
  readonly maxEventLoopDelayMs?: number;
  /**
   * Limits of each shard's thread. Default: Node's limits, with 8 MiB of young generation instead of 96. Messages are
   * short-lived: a larger young generation raises the memory of idle connections, and delays the collection of dead
   * buffers until a full collection. Raise `maxYoungGenerationSizeMb` for actors that allocate a lot.
   */
  readonly resourceLimits?: ShardResourceLimits;
  /**
   * Time for which the event loop of a shard, or of the engine's thread, may be blocked before that is ended and
   * replaced. 0: no limit, so that an endless loop holds its connections for ever. Default: 10 s.
   */
  readonly shardTimeoutMs?: number;
  /**
   * Time that a shard has to take over a socket. After it the handoff has failed: the peer gets 503 or is closed, and
   * the shard gets no more sockets until it answers. Default: 5 s.
   */
  readonly handoffTimeoutMs?: number;
  /**
   * Time that a shard has to become ready, with the top-level awaits of its actor module. A shard that takes longer is
   * ended. Then `start` rejects with `ERR_START_TIMEOUT`; after the start, it counts as a death of the shard. 0: no
   * limit. Default: 60 s.
   */
  readonly startTimeoutMs?: number;
  /**
   * History and presence of topics, by pattern: `{ "room:*": { history: { size: 100 }, presence: true } }`. `*` stands
   * for any characters, and the first pattern that matches counts. Default: no topic has either.
   */
  readonly topics?: TopicsOption;
  /**
   * Keeper of history and presence, and the way of publishes to other processes: `memory()` or `redis()` of
   * `switchboard/redis`. The engine runs in a thread of its own, if there is a reason for one: `topics`, or an engine
   * that other processes share. Default: `memory()`.
   */
  readonly engine?: EngineSpec;
  /**
   * Name of this process for operators, in `nodes()` of every board that shares the engine. Default: the host's name.
   */
  readonly nodeName?: string;
  /**
   * Path of a Unix socket by which processes take over from each other: if a process listens there, this board takes
   * its listening sockets and its open connections over; in any case it listens there afterwards. True: the path is in
   * the environment variable `SWITCHBOARD_TAKEOVER`, which `switchboard run` sets; without the variable there is no
   * takeover. The folder must belong to the user, with mode 0700. Linux and Node 26.9 or newer; under `switchboard run`
   * also Node 24.20 or newer. An object has the path, and functions for what the main program gives to the next
   * process. Default: false.
   */
  readonly takeover?: string | boolean | TakeoverOptions;
  /**
   * Signal that aborts the start: all threads end, and `start` rejects with `ERR_ABORTED`, whose `cause` is the reason
   * of the signal. After the start the signal has no effect: call `close`.
   */
  readonly signal?: AbortSignal;
}

const connectionOptions = [
  "maxPayloadBytes",
  "maxFragments",
  "maxMailboxMessages",
  "maxMailboxBytes",
  "maxMails",
  "maxBufferedBytes",
  "maxSubscriptions",
  "slowConsumerPolicy",
  "maxMessagesPerSecond",
  "maxBytesPerSecond",
  "rateLimitPolicy",
  "pingIntervalMs",
  "pongTimeoutMs",
  "closeTimeoutMs",
  "handlerTimeoutMs",
  "handlerTimeoutAfterCloseMs",
] as const satisfies readonly (keyof ConnectionLimits)[];

const admissionOptions = [
  "maxConnections",
  "maxConnectionsPerShard",
  "maxConnectionsPerAddress",
  "maxUpgradesPerSecond",
  "trustedProxies",
] as const satisfies readonly (keyof AdmissionLimits)[];

/** Measured: an idle connection takes 2.6 KiB instead of 7.8, and an echo or a fan-out no more CPU. */
const DEFAULT_RESOURCE_LIMITS: ShardResourceLimits = { maxYoungGenerationSizeMb: 8 };

const startOptions = [
  "actor",
  "actors",
  "shards",
  "warmUp",
  "compression",
  "sockets",
  "placement",
  "rebalance",
  "recycle",
  "maxEventLoopDelayMs",
  "resourceLimits",
  "shardTimeoutMs",
  "handoffTimeoutMs",
  "startTimeoutMs",
  "topics",
  "engine",
  "nodeName",
  "takeover",
  "signal",
  ...admissionOptions,
  ...connectionOptions,
] as const;

/** See `StartOptions.sockets`. */
export type SocketsOption = "auto" | "node" | "uring" | "relay";

/** The engine of a board, and the topics that it serves. */
export interface EngineSettings {
  readonly spec: EngineSpec;
  readonly rules: readonly TopicRule[];
}

/** The checked options of a board, with their defaults. */
export interface Settings {
  /** URLs of the actor modules, by name; under undefined that of the default module. */
  readonly actors: ReadonlyMap<ActorName, string>;
  readonly shards: number;
  readonly warmUp: boolean;
  readonly sockets: SocketsOption;
  readonly placement: Placement;
  /** Connections in a second. */
  readonly rebalance: number;
  readonly recycle: RecycleSettings | undefined;
  readonly maxEventLoopDelayMs: number;
  readonly limits: AdmissionLimits;
  readonly resourceLimits: ShardResourceLimits;
  /** Milliseconds. 0: no limit. */
  readonly shardTimeoutMs: number;
  readonly handoffTimeoutMs: number;
  /** Milliseconds. 0: no limit. */
  readonly startTimeoutMs: number;
  /** Rules of topics and the engine that serves them; undefined if the board has no use for one. */
  readonly engine: EngineSettings | undefined;
  readonly nodeName: string;
  /** Path of the socket for takeovers, and what goes along; undefined: none. */
  readonly takeover: TakeoverSettings | undefined;
  readonly signal: AbortSignal | undefined;
  readonly connection: ConnectionLimits;
}

/** Checks the options of `Switchboard.start` and fills in the defaults. Throws `ERR_OPTION`. */
export function checkStartOptions(options: StartOptions): Settings {
  check("Switchboard.start", options, startOptions, ["actor"]);
  const {
    actor,
    actors = {},
    shards = "auto",
    warmUp = true,
    sockets = "auto",
    placement = "leastConnections",
    rebalance = 0,
    recycle,
    maxEventLoopDelayMs = 200,
    resourceLimits = {},
    shardTimeoutMs = 10_000,
    handoffTimeoutMs = HANDOFF_TIMEOUT_MS,
    startTimeoutMs = 60_000,
    topics,
    engine,
    nodeName = hostname(),
    takeover = false,
    signal,
    compression = false,
    ...limits
  } = withoutUndefined(options);
  return {
    actors: new Map<ActorName, string>([
      [undefined, String(actor)],
      ...Object.entries(actors).map(([name, url]) => [name, String(url)] as const),
    ]),
    shards: shards === "auto" ? availableParallelism() : shards,
    warmUp,
    sockets,
    placement,
    rebalance: checkRebalance(rebalance, placement),
    recycle: checkAutoRecycle(recycle),
    maxEventLoopDelayMs,
    limits: pick(limits, admissionOptions),
    shardTimeoutMs,
    handoffTimeoutMs,
    startTimeoutMs,
    engine: checkEngine(topics, engine),
    nodeName,
    takeover: checkTakeoverOption(takeover),
    signal,
    resourceLimits: checkResourceLimits(resourceLimits),
    connection: {
      maxPayloadBytes: 1024 * 1024,
      // Conformance suites send messages of 65,537 fragments.
      maxFragments: 131_072,
      maxMailboxMessages: 1024,
      maxMailboxBytes: 1024 * 1024,
      maxMails: 1024,
      maxBufferedBytes: 1024 * 1024,
      // Topics that nobody else has, each known to every shard: about as much memory as the other queues of a
      // connection.
      maxSubscriptions: 1024,
      slowConsumerPolicy: "close",
      rateLimitPolicy: "pause",
      pingIntervalMs: 25_000,
      pongTimeoutMs: 10_000,
      closeTimeoutMs: 10_000,
      // A handler may stream, or wait for its peer, for as long as the connection lives.
      handlerTimeoutMs: 0,
      handlerTimeoutAfterCloseMs: 60_000,
      ...pick(limits, connectionOptions),
      ...(compression !== false && { compression: checkCompression(compression) }),
    },
  };
}

function checkEngine(topics: TopicsOption | undefined, engine: EngineSpec | undefined): EngineSettings | undefined {
  const rules = checkTopics("Switchboard.start", topics);
  return rules.length === 0 && engine === undefined ? undefined : { rules, spec: engine ?? memory() };
}

function checkRebalance(perSecond: number, placement: Placement): number {
  if (perSecond === 0 || !placesByRequest(placement)) return perSecond;
  throw optionError("Switchboard.start: rebalance needs a placement that doesn't look at the request");
}

function checkCompression(options: true | Partial<CompressionOptions>): CompressionOptions {
  if (options === true) return DEFAULT_COMPRESSION;
  check("Switchboard.start: compression", options, ["threshold", "level", "windowBits", "contextTakeover"]);
  return { ...DEFAULT_COMPRESSION, ...withoutUndefined(options) };
}

function checkResourceLimits(options: ShardResourceLimits): ShardResourceLimits {
  check("Switchboard.start: resourceLimits", options, [
    "maxOldGenerationSizeMb",
    "maxYoungGenerationSizeMb",
    "stackSizeMb",
  ]);
  return { ...DEFAULT_RESOURCE_LIMITS, ...withoutUndefined(options) };
}
