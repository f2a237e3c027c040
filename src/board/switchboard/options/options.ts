/**
 * The options of `Switchboard.start`, `attach` and `listen`: their types, defaults and checks. `OPTIONS.md` lists them
 * for users.
 */
import { availableParallelism } from "node:os";
import { SwitchboardError } from "../../../errors.ts";
import { normalizeOrigins, type Origins } from "../../../wire/handshake/origins.ts";
import { type CompressionOptions, DEFAULT_COMPRESSION } from "../../../wire/protocol/deflate/compression.ts";
import { HANDOFF_TIMEOUT_MS } from "../../../wire/transport/pending-handoffs.ts";
import type { AdmissionLimits } from "../../accept/admission-control.ts";
import type { Authorize } from "../../accept/authorize.ts";
import type { RouteSettings } from "../../accept/routes/route.ts";
import type { ShardPortSettings } from "../../accept/shard-port.ts";
import type { TlsOptions } from "../../accept/tls-settings.ts";
import type { ConnectionLimits } from "../../connection/connection-host.ts";
import type { ListConnectionsOptions } from "../listing.ts";
import type { Placement } from "../pool/placement.ts";
import { check, withoutUndefined } from "./option-validation.ts";
import { checkTlsOptions } from "./tls-options.ts";

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
   * Way of a connection to its shard. "auto" moves sockets that can be moved (TCP, from Node 24.20 or 26.6 on) and
   * relays the bytes of all others. "relay" moves none. Default: "auto".
   */
  readonly sockets?: "auto" | "relay";
  /**
   * Choice of the shard for a new connection, after `authorize`: the shard with the fewest connections, the next shard,
   * the shard of a key of the request (`stickyBy`), or a function. The last two need the handshake in the main thread.
   * Default: "leastConnections".
   */
  readonly placement?: Placement;
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
   * Time for which a shard's event loop may be blocked before the shard is ended and replaced. 0: no limit, so that an
   * endless loop holds its connections for ever. Default: 10 s.
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
   * Signal that aborts the start: all threads end, and `start` rejects with `ERR_ABORTED`, whose `cause` is the reason
   * of the signal. After the start the signal has no effect: call `close`.
   */
  readonly signal?: AbortSignal;
}

/** Options of a route: which upgrades the board takes, and what it asks of them. */
export interface AttachOptions<Session = unknown> {
  /** Path with parameters, in the syntax of `URLPattern`: `/chat/:room`. Default: every path. */
  readonly path?: string;
  /**
   * Function that lets a connection in with a session, or refuses it. Default: every connection gets in, without a
   * session.
   */
  readonly authorize?: Authorize<Session>;
  /**
   * Origins whose pages may connect: a list such as `["https://example.com", "https://*.example.com"]`, or a function,
   * which needs the handshake in the main thread. Other pages get 403. Requests without an Origin header (from
   * programs, not browsers) are always allowed. Default: all origins.
   */
  readonly origins?: Origins;
  /** Subprotocols that the actor supports. Default: none. */
  readonly protocols?: readonly string[];
  /** Time for the whole handshake, `authorize` included. Default: 10 s. */
  readonly handshakeTimeoutMs?: number;
}

export interface ListenOptions<Session = unknown> extends AttachOptions<Session> {
  /** TCP port. 0: the operating system chooses. */
  readonly port: number;
  /** Address to listen on. Default: all addresses. */
  readonly host?: string;
  /**
   * Thread that does the opening handshake. "shard" spreads handshakes over the cores; `authorize` is then an export of
   * the actor module, not an option. Default: "shard", unless something needs the request in the main thread: a
   * function as `authorize` or `origins`, a limit of connections or upgrades, a placement by the request, or sockets
   * that don't move.
   */
  readonly handshake?: "main" | "shard";
  /**
   * Thread that accepts connections. "shard": each shard accepts by itself and does the handshake, and the operating
   * system spreads connections (SO_REUSEPORT, on Linux and FreeBSD; with one shard on any system). The main thread is
   * then no bottleneck, but nothing chooses the shard of a connection. Default: "main".
   */
  readonly accept?: "main" | "shard";
  /** TLS options. The shards do TLS and the handshake. Default: no TLS. */
  readonly tls?: TlsOptions;
  /**
   * Signal that aborts the call: `listen` rejects with `ERR_ABORTED`, whose `cause` is the reason of the signal, and
   * the port isn't bound. After the port is open the signal has no effect.
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

const compressionOptions = [
  "threshold",
  "level",
  "windowBits",
  "contextTakeover",
] as const satisfies readonly (keyof CompressionOptions)[];

const resourceLimits = [
  "maxOldGenerationSizeMb",
  "maxYoungGenerationSizeMb",
  "stackSizeMb",
] as const satisfies readonly (keyof ShardResourceLimits)[];

/** Measured: an idle connection takes 2.6 KiB instead of 7.8, and an echo or a fan-out no more CPU. */
const DEFAULT_RESOURCE_LIMITS: ShardResourceLimits = { maxYoungGenerationSizeMb: 8 };

const attachOptions = ["path", "authorize", "origins", "protocols", "handshakeTimeoutMs"] as const;

const startOptions = [
  "actor",
  "shards",
  "warmUp",
  "compression",
  "sockets",
  "placement",
  "maxEventLoopDelayMs",
  "resourceLimits",
  "shardTimeoutMs",
  "handoffTimeoutMs",
  "startTimeoutMs",
  "signal",
  ...admissionOptions,
  ...connectionOptions,
] as const;

export interface Settings {
  readonly actor: string;
  readonly shards: number;
  readonly warmUp: boolean;
  readonly sockets: "auto" | "relay";
  readonly placement: Placement;
  readonly maxEventLoopDelayMs: number;
  readonly limits: AdmissionLimits;
  readonly resourceLimits: ShardResourceLimits;
  /** 0: none. */
  readonly shardTimeoutMs: number;
  readonly handoffTimeoutMs: number;
  /** 0: none. */
  readonly startTimeoutMs: number;
  readonly signal: AbortSignal | undefined;
  readonly connection: ConnectionLimits;
}

export function checkStartOptions(options: StartOptions): Settings {
  check("Switchboard.start", options, startOptions, ["actor"]);
  const {
    actor,
    shards = "auto",
    warmUp = true,
    sockets = "auto",
    placement = "leastConnections",
    maxEventLoopDelayMs = 200,
    resourceLimits = {},
    shardTimeoutMs = 10_000,
    handoffTimeoutMs = HANDOFF_TIMEOUT_MS,
    startTimeoutMs = 60_000,
    signal,
    compression = false,
    ...numbers
  } = withoutUndefined(options);
  const { limits, connection } = splitLimits(numbers);
  return {
    actor: String(actor),
    shards: shards === "auto" ? availableParallelism() : shards,
    warmUp,
    sockets,
    placement,
    maxEventLoopDelayMs,
    limits,
    shardTimeoutMs,
    handoffTimeoutMs,
    startTimeoutMs,
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
      ...connection,
      ...(compression !== false && { compression: checkCompression(compression) }),
    },
  };
}

function splitLimits<Options extends AdmissionLimits>({
  maxConnections,
  maxConnectionsPerShard,
  maxConnectionsPerAddress,
  maxUpgradesPerSecond,
  trustedProxies,
  ...connection
}: Options) {
  const perClient = { maxConnectionsPerAddress, trustedProxies };
  const limits = { maxConnections, maxConnectionsPerShard, maxUpgradesPerSecond, ...perClient };
  return { limits: withoutUndefined(limits) as AdmissionLimits, connection };
}

function checkCompression(options: true | Partial<CompressionOptions>): CompressionOptions {
  if (options === true) return DEFAULT_COMPRESSION;
  check("Switchboard.start: compression", options, compressionOptions);
  return { ...DEFAULT_COMPRESSION, ...withoutUndefined(options) };
}

function checkResourceLimits(options: ShardResourceLimits): ShardResourceLimits {
  check("Switchboard.start: resourceLimits", options, resourceLimits);
  return { ...DEFAULT_RESOURCE_LIMITS, ...withoutUndefined(options) };
}

export function checkAttachOptions(options: AttachOptions, call = "attach"): RouteSettings {
  check(call, options, attachOptions);
  return routeSettings(options);
}

export interface ListenSettings {
  readonly port: number;
  readonly host?: string;
  readonly signal: AbortSignal | undefined;
  readonly route: RouteSettings;
  /** "any": the shards if they can, else the main thread. */
  readonly handshake: "main" | "shard" | "any";
  /** Settings for the shards when they do the handshake; undefined if they can't. */
  readonly shard?: ShardPortSettings;
  readonly accept: "main" | "shard";
}

export function checkListenOptions(options: ListenOptions): ListenSettings {
  check("listen", options, ["port", "host", "accept", "handshake", "tls", "signal", ...attachOptions], ["port"]);
  const { port, host, tls, signal, accept = "main", handshake: wanted, ...others } = options;
  const route = routeSettings(others);
  const { authorize, ...plain } = route;
  const inShards = accept === "shard" || tls !== undefined;
  if (wanted === "main" && accept === "shard")
    throw listenError('the thread that accepts also does the handshake: leave handshake out, or make it "shard"');
  if (wanted === "main" && inShards)
    throw listenError('the shards do TLS and the handshake: leave handshake out, or make it "shard"');
  const asksOrigins = typeof route.origins === "function";
  if (inShards || wanted === "shard") {
    const unsendable = "the shards do this handshake, and functions can't be sent to them";
    if (authorize !== undefined) throw listenError(`${unsendable}: export authorize from the actor module`);
    if (asksOrigins) {
      throw listenError(
        `${unsendable}: make origins a list, or check request.headers.origin in the actor module's export authorize`,
      );
    }
  }
  const needsMain = authorize !== undefined || asksOrigins;
  const handshake: ListenSettings["handshake"] = wanted ?? (inShards ? "shard" : needsMain ? "main" : "any");
  const shard = { route: plain, ...(tls && { tls: checkTlsOptions("listen", tls) }) };
  const settings = { port, ...(host !== undefined && { host }), signal, route, accept, handshake };
  return handshake === "main" ? settings : { ...settings, shard };
}

function listenError(what: string): SwitchboardError {
  return new SwitchboardError("ERR_OPTION", `listen: ${what}`);
}

export function checkConnectionsOptions(options: ListConnectionsOptions): void {
  check("connections", options, ["shard", "cursor", "limit"]);
}

function routeSettings(options: AttachOptions): RouteSettings {
  const { origins, ...rest } = withoutUndefined(options);
  return {
    handshakeTimeoutMs: 10_000,
    ...rest,
    ...(origins && { origins: normalizeOrigins(origins) }),
  };
}
