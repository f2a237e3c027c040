import { availableParallelism } from "node:os";
import { SwitchboardError } from "../../../errors.ts";
import { normalizeOrigins, type Origins } from "../../../wire/handshake/origins.ts";
import { type CompressionOptions, DEFAULT_COMPRESSION } from "../../../wire/protocol/deflate/compression.ts";
import { HANDOFF_TIMEOUT_MS } from "../../../wire/transport/pending-handoffs.ts";
import type { AdmissionLimits } from "../../accept/admission-control.ts";
import type { Authorize } from "../../accept/authorize.ts";
import type { ShardPortSettings } from "../../accept/shard-port.ts";
import type { TlsOptions } from "../../accept/tls-settings.ts";
import type { ConnectionLimits } from "../../connection/connection-host.ts";
import type { ListConnectionsOptions } from "../listing.ts";
import type { Placement } from "../pool/placement.ts";
import { check, withoutUndefined } from "./option-validation.ts";
import { checkTlsOptions } from "./tls-options.ts";

/** What one shard's thread may take, as in `node:worker_threads`: a shard that needs more ends. In MiB; default: Node's own. */
export interface ShardResourceLimits {
  /** The heap of JavaScript objects. Buffers aren't in it. */
  readonly maxOldGenerationSizeMb?: number;
  /** The heap's part for new objects. */
  readonly maxYoungGenerationSizeMb?: number;
  readonly stackSizeMb?: number;
}

/** How a board runs. Times are in milliseconds, sizes in bytes. */
export interface StartOptions extends Partial<Omit<ConnectionLimits, "compression">>, AdmissionLimits {
  /** The actor module: a file URL (`new URL("./chat.ts", import.meta.url)`) or its string. Its default export is the actor class. */
  readonly actor: URL | string;
  /** Worker threads. Default: "auto", one for each core that this process may use. */
  readonly shards?: number | "auto";
  /**
   * Whether each shard makes 250 connections in memory before it is ready, so that V8 has compiled what the first real ones need. The actor
   * module has no part in them, and nothing counts them. Takes about 30 ms, and 200 ms at most. Not done in a shard in which something
   * preloaded (`--import`) listens on a diagnostics channel of Switchboard. Default: true.
   */
  readonly warmUp?: boolean;
  /** Compresses messages (permessage-deflate, RFC 7692) with peers that offer it. `true`: with the defaults. Default: false. */
  readonly compression?: boolean | Partial<CompressionOptions>;
  /**
   * How connections get to their shards. Default: "auto", which moves the sockets that can be moved (TCP, from Node 24.20 and 26.6 on)
   * and relays the bytes of all others. "relay" moves none.
   */
  readonly sockets?: "auto" | "relay";
  /**
   * How a shard is chosen for a new connection, once `authorize` has let it in: the one with the fewest, the next one, the one of a key of the
   * request (`stickyBy`), or by a function. The last two need the handshake in the main thread. Default: "leastConnections".
   */
  readonly placement?: Placement;
  /** A shard whose event loop is late by more than this, as a mean over the last second or so, is passed over. Default: 200. */
  readonly maxEventLoopDelayMs?: number;
  /**
   * What each shard may take. Default: Node's own, but 8 MiB of young generation instead of 96: what a shard makes lives briefly, and more would
   * be memory of its idle connections that nothing gives back, and would let so many dead messages wait that V8 looks through all memory for them.
   * Raise `maxYoungGenerationSizeMb` for actors that allocate a lot.
   */
  readonly resourceLimits?: ShardResourceLimits;
  /**
   * How long a shard's event loop may stand still before the shard is ended and replaced: a loop without an end would hold its connections
   * for ever. 0: for ever. Default: 10 s.
   */
  readonly shardTimeoutMs?: number;
  /**
   * How long a shard may take to take a socket over. Then the handoff has failed: the peer is answered with 503 or closed, and the shard gets no
   * more until it answers again. Default: 5 s.
   */
  readonly handoffTimeoutMs?: number;
  /**
   * How long a shard may take until it takes connections, its actor module's top-level awaits included. A shard that takes longer is ended: at
   * the board's start `start` then rejects with `ERR_START_TIMEOUT`, later it counts as one more death of the shard. 0: for ever.
   * Default: 60 s.
   */
  readonly startTimeoutMs?: number;
  /**
   * Aborts the start: all threads are ended, and `start` rejects with `ERR_ABORTED`, whose `cause` is the signal's reason. An abort after the
   * start has no effect: that is what `close` is for.
   */
  readonly signal?: AbortSignal;
}

/** Which upgrades are taken, and what is asked of them. */
export interface AttachOptions<Session = unknown> {
  /** Path with parameters, in the syntax of `URLPattern`: `/chat/:room`. Default: every path. */
  readonly path?: string;
  /** Lets a connection in with a session, or refuses it. Default: everybody gets in, without a session. */
  readonly authorize?: Authorize<Session>;
  /**
   * Pages that may connect, by their Origin header: a list such as `["https://example.com", "https://*.example.com"]`, or a function, which
   * needs the handshake in the main thread. Others get 403. Default: all. Programs that send no Origin are let in.
   */
  readonly origins?: Origins;
  /** Subprotocols that the actor speaks. Default: none. */
  readonly protocols?: readonly string[];
  /** What a handshake may take, `authorize` included. Default: 10 s. */
  readonly handshakeTimeoutMs?: number;
}

export interface ListenOptions<Session = unknown> extends AttachOptions<Session> {
  /** TCP port; 0 lets the system choose. */
  readonly port: number;
  /** Address to listen on. Default: all. */
  readonly host?: string;
  /**
   * Where the opening handshake is done. "shard" spreads it over the cores: `authorize` is then the actor module's export of that name, and
   * no option. Default: "shard", unless something needs it in the main thread: a function as `authorize` or `origins`, a limit of connections
   * or upgrades, a placement by the request, or sockets that don't move.
   */
  readonly handshake?: "main" | "shard";
  /**
   * Who accepts connections. "shard": each shard by itself, and the operating system spreads them (SO_REUSEPORT, on Linux and FreeBSD; with
   * one shard anywhere), so that the main thread is no bottleneck, but nobody chooses their shard. The handshake is then the shard's, too.
   * Default: "main".
   */
  readonly accept?: "main" | "shard";
  /** Speak TLS, done by the shards like the handshake. Default: none. */
  readonly tls?: TlsOptions;
  /**
   * Aborts the call: `listen` rejects with `ERR_ABORTED`, whose `cause` is the signal's reason, and the port isn't bound. An abort after that
   * has no effect.
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

/** Measured: 2.6 KiB for each idle connection instead of 7.8, and no more CPU for an echo or a fan-out. */
const DEFAULT_RESOURCE_LIMITS: ShardResourceLimits = { maxYoungGenerationSizeMb: 8 };

const attachOptions = ["path", "authorize", "origins", "protocols", "handshakeTimeoutMs"] as const;

const startOptions = [
  ...(["actor", "shards", "warmUp", "compression", "sockets", "placement", "maxEventLoopDelayMs"] as const),
  ...(["resourceLimits", "shardTimeoutMs", "handoffTimeoutMs", "startTimeoutMs", "signal"] as const),
  ...admissionOptions,
  ...connectionOptions,
];

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
      // Topics that nobody else has, each known to every shard: about as much memory as the other queues of a connection.
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

export type RouteSettings = Required<Pick<AttachOptions, "handshakeTimeoutMs">> & AttachOptions;

export function checkAttachOptions(options: AttachOptions, call = "attach"): RouteSettings {
  check(call, options, attachOptions);
  return routeSettings(options);
}

export interface ListenSettings {
  readonly port: number;
  readonly host?: string;
  readonly signal: AbortSignal | undefined;
  readonly route: RouteSettings;
  /** "any": wherever it can be done best. */
  readonly handshake: "main" | "shard" | "any";
  /** What the shards are told when the handshake is theirs; undefined: it can't be. */
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
    throw misfit('who accepts does the handshake, too: leave handshake out, or make it "shard"');
  if (wanted === "main" && inShards) throw misfit('tls is done by the shards: leave handshake out, or make it "shard"');
  const asksOrigins = typeof route.origins === "function";
  if (inShards || wanted === "shard") {
    const unsendable = "the shards do this handshake, and functions can't be sent to them";
    if (authorize !== undefined) throw misfit(`${unsendable}: export authorize from the actor module`);
    if (asksOrigins) {
      throw misfit(
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

function misfit(what: string): SwitchboardError {
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
