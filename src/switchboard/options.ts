import { availableParallelism, constants } from "node:os";
import { isSlowConsumerPolicy, SLOW_CONSUMER_POLICIES } from "../actor/flow.ts";
import { SwitchboardError } from "../errors.ts";
import { compilePathPattern } from "../handshake/path-pattern.ts";
import { isToken } from "../handshake/tokens.ts";
import { CloseCode, MAX_REASON_BYTES } from "../protocol/close-code.ts";
import { type CompressionOptions, DEFAULT_COMPRESSION } from "../protocol/compression.ts";
import type { Authorize } from "../shard/authorize.ts";
import type { ConnectionOptions } from "../shard/connection.ts";
import type { DrainSettings } from "../shard/drain.ts";
import type { ListenerSettings } from "../shard/messages.ts";
import type { TlsOptions } from "../shard/tls-settings.ts";
import { isAddressOrNetwork } from "../transport/ip-address.ts";
import type { AdmissionLimits } from "./admission-control.ts";
import { UNIX_PEERS } from "./client-address.ts";
import type { ConnectionsOptions } from "./listing.ts";
import type { Placement } from "./placement.ts";
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
export interface StartOptions extends Partial<Omit<ConnectionOptions, "compression">>, AdmissionLimits {
  /** The actor module: a file URL (`new URL("./chat.ts", import.meta.url)`) or its string. Its default export is the actor class. */
  readonly actor: URL | string;
  /** Worker threads. Default: "auto", one for each core that this process may use. */
  readonly shards?: number | "auto";
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
  readonly overloadedMs?: number;
  /** What each shard may take. */
  readonly resourceLimits?: ShardResourceLimits;
  /**
   * How long a shard's event loop may stand still before the shard is ended and replaced: a loop without an end would hold its connections
   * for ever. 0: for ever. Default: 10 s.
   */
  readonly shardTimeoutMs?: number;
}

/** Which upgrades are taken, and what is asked of them. */
export interface AttachOptions<Session = unknown> {
  /** Path with parameters, in the syntax of `URLPattern`: `/chat/:room`. Default: every path. */
  readonly path?: string;
  /** Lets a connection in with a session, or refuses it. Default: everybody gets in, without a session. */
  readonly authorize?: Authorize<Session>;
  /** Origins whose pages may connect, such as `https://example.com`. Default: all. Programs that send no Origin aren't concerned. */
  readonly origins?: readonly string[];
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
   * no option. Default: "main", or "shard" with `tls`.
   */
  readonly handshake?: "main" | "shard";
  /**
   * Who accepts connections. "shard": each shard by itself, and the operating system spreads them (SO_REUSEPORT, on Linux and FreeBSD; with
   * one shard anywhere): the cheapest for many connections at once, but nobody chooses their shard. The handshake is then the shard's, too.
   * Default: "main".
   */
  readonly accept?: "main" | "shard";
  /** Speak TLS, done by the shards like the handshake. Default: none. */
  readonly tls?: TlsOptions;
}

export interface CloseOptions {
  /** How long closing the connections may take before what is left is dropped. Give it time for all batches. Default: 5 s. */
  readonly drain?: number;
  /** How long upgrades are still taken while `board.ready` is false already, so that a load balancer sees it in time. Default: 0. */
  readonly readinessDelayMs?: number;
  /** How many connections are closed at once, over the whole board, so that their peers don't all return at once. Default: 10,000. */
  readonly batch?: number;
  /** Time between two batches. Default: 2 s. */
  readonly batchIntervalMs?: number;
  /** What peers are told: 1001 (going away), or 1012 (restarting; they may come back). Default: 1001. */
  readonly code?: 1001 | 1012;
  /** At most 123 bytes of UTF-8. Default: "server is going away", or with 1012 "server is restarting". */
  readonly reason?: string;
}

export interface CloseOnSignalsOptions extends CloseOptions {
  /** Default: `SIGTERM` and `SIGINT`. */
  readonly signals?: readonly NodeJS.Signals[];
}

/** Says what is wrong with a value, or nothing. */
type Check = { readonly takes: string; readonly accepts: (value: unknown) => boolean };

const MAX_TIMEOUT_MS = 2 ** 31 - 1;
const MAX_BYTES = 2 ** 31 - 1;
const MAX_COUNT = 2 ** 31 - 1;

function integer(from: number, to: number): Check {
  const accepts = (value: unknown): boolean =>
    Number.isInteger(value) && (value as number) >= from && (value as number) <= to;
  return { takes: `an integer from ${from} to ${to}`, accepts };
}

function listOf(what: string, accepts: (value: string) => boolean): Check {
  const all = (value: unknown): boolean =>
    Array.isArray(value) && value.every((member) => typeof member === "string" && accepts(member));
  return { takes: `an array of ${what}`, accepts: all };
}

const checks = {
  actor: { takes: "a file URL, as a URL or a string", accepts: isFileUrl },
  shards: {
    takes: '"auto" or an integer from 1 to 1024',
    accepts: (value) => value === "auto" || integer(1, 1024).accepts(value),
  },
  sockets: { takes: '"auto" or "relay"', accepts: (value) => value === "auto" || value === "relay" },
  placement: {
    takes: '"leastConnections", "roundRobin", an object with a function stickyBy, or a function',
    accepts: isPlacement,
  },
  overloadedMs: integer(1, MAX_TIMEOUT_MS),
  maxConnections: integer(1, MAX_COUNT),
  maxConnectionsPerShard: integer(1, MAX_COUNT),
  maxConnectionsPerAddress: integer(1, MAX_COUNT),
  maxUpgradesPerSecond: integer(1, MAX_COUNT),
  trustedProxies: listOf(
    'addresses, networks ("10.0.0.0/8") and "unix:"',
    (value) => value === UNIX_PEERS || isAddressOrNetwork(value),
  ),
  resourceLimits: { takes: "an object of limits", accepts: (value) => typeof value === "object" && value !== null },
  maxOldGenerationSizeMb: integer(1, MAX_BYTES),
  maxYoungGenerationSizeMb: integer(1, MAX_BYTES),
  stackSizeMb: integer(1, MAX_BYTES),
  shardTimeoutMs: {
    ...integer(0, MAX_TIMEOUT_MS),
    takes: `an integer from 1 to ${MAX_TIMEOUT_MS}, or 0 for no timeout`,
  },
  maxPayloadBytes: integer(1, MAX_BYTES),
  maxFragments: integer(1, MAX_BYTES),
  mailboxLimit: integer(1, MAX_BYTES),
  mailboxLimitBytes: integer(1, MAX_BYTES),
  mailLimit: integer(1, MAX_BYTES),
  maxBufferedBytes: integer(1, MAX_BYTES),
  maxSubscriptions: integer(1, MAX_BYTES),
  slowConsumers: { takes: `one of ${SLOW_CONSUMER_POLICIES.join(", ")}`, accepts: isSlowConsumerPolicy },
  maxMessagesPerSecond: integer(1, MAX_BYTES),
  maxBytesPerSecond: integer(1, MAX_BYTES),
  overRate: { takes: '"pause" or "close"', accepts: (value) => value === "pause" || value === "close" },
  pingIntervalMs: { ...integer(0, MAX_TIMEOUT_MS), takes: `an integer from 1 to ${MAX_TIMEOUT_MS}, or 0 for no pings` },
  pongTimeoutMs: integer(1, MAX_TIMEOUT_MS),
  closeTimeoutMs: integer(1, MAX_TIMEOUT_MS),
  compression: {
    takes: "true, false or an object of options",
    accepts: (value) => typeof value === "boolean" || (typeof value === "object" && value !== null),
  },
  threshold: integer(0, MAX_BYTES),
  level: integer(1, 9),
  windowBits: integer(9, 15),
  contextTakeover: { takes: "true or false", accepts: (value) => typeof value === "boolean" },
  path: { takes: 'a path pattern that begins with "/", such as "/chat/:room"', accepts: isPathPattern },
  authorize: { takes: "a function", accepts: (value) => typeof value === "function" },
  origins: listOf('origins, such as "https://example.com"', isOrigin),
  protocols: listOf("subprotocol names (tokens)", isToken),
  handshakeTimeoutMs: integer(1, MAX_TIMEOUT_MS),
  port: integer(0, 65_535),
  host: { takes: "a host name or an address", accepts: (value) => typeof value === "string" && value !== "" },
  handshake: { takes: '"main" or "shard"', accepts: (value) => value === "main" || value === "shard" },
  accept: { takes: '"main" or "shard"', accepts: (value) => value === "main" || value === "shard" },
  tls: { takes: "an object with key and cert", accepts: (value) => typeof value === "object" && value !== null },
  drain: integer(0, MAX_TIMEOUT_MS),
  readinessDelayMs: integer(0, MAX_TIMEOUT_MS),
  batch: integer(1, MAX_BYTES),
  batchIntervalMs: integer(1, MAX_TIMEOUT_MS),
  code: {
    takes: "1001 or 1012",
    accepts: (value) => value === CloseCode.goingAway || value === CloseCode.serviceRestart,
  },
  reason: {
    takes: `a string of at most ${MAX_REASON_BYTES} bytes`,
    accepts: (value) => typeof value === "string" && Buffer.byteLength(value) <= MAX_REASON_BYTES,
  },
  signals: listOf("names of signals that can be handled", isSignal),
  shard: integer(0, 1023),
  cursor: { takes: "what a page before gave", accepts: (value) => typeof value === "string" },
  limit: integer(1, 1_000),
} as const satisfies Record<string, Check>;

type OptionName = keyof typeof checks;

const connectionOptions = [
  "maxPayloadBytes",
  "maxFragments",
  "mailboxLimit",
  "mailboxLimitBytes",
  "mailLimit",
  "maxBufferedBytes",
  "maxSubscriptions",
  "slowConsumers",
  "maxMessagesPerSecond",
  "maxBytesPerSecond",
  "overRate",
  "pingIntervalMs",
  "pongTimeoutMs",
  "closeTimeoutMs",
] as const satisfies readonly (keyof ConnectionOptions)[];

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

const attachOptions = ["path", "authorize", "origins", "protocols", "handshakeTimeoutMs"] as const;

const startOptions = [
  ...(["actor", "shards", "compression", "sockets", "placement", "overloadedMs"] as const),
  ...(["resourceLimits", "shardTimeoutMs"] as const),
  ...admissionOptions,
  ...connectionOptions,
];

export interface Settings {
  readonly actor: string;
  readonly shards: number;
  readonly sockets: "auto" | "relay";
  readonly placement: Placement;
  readonly overloadedMs: number;
  readonly limits: AdmissionLimits;
  /** Undefined: Node's own. */
  readonly resourceLimits?: ShardResourceLimits;
  /** 0: none. */
  readonly shardTimeoutMs: number;
  readonly connection: ConnectionOptions;
}

export function checkStartOptions(options: StartOptions): Settings {
  check("Switchboard.start", options, startOptions, ["actor"]);
  const {
    actor,
    shards = "auto",
    sockets = "auto",
    placement = "leastConnections",
    overloadedMs = 200,
    resourceLimits,
    shardTimeoutMs = 10_000,
    compression = false,
    ...numbers
  } = withoutUndefined(options);
  const { limits, connection } = splitLimits(numbers);
  return {
    actor: String(actor),
    shards: shards === "auto" ? availableParallelism() : shards,
    sockets,
    placement,
    overloadedMs,
    limits,
    shardTimeoutMs,
    ...(resourceLimits && { resourceLimits: checkResourceLimits(resourceLimits) }),
    connection: {
      maxPayloadBytes: 1024 * 1024,
      // Conformance suites send messages of 65,537 fragments.
      maxFragments: 131_072,
      mailboxLimit: 1024,
      mailboxLimitBytes: 1024 * 1024,
      mailLimit: 1024,
      maxBufferedBytes: 1024 * 1024,
      // Topics that nobody else has, each known to every shard: about as much memory as the other queues of a connection.
      maxSubscriptions: 1024,
      slowConsumers: "close",
      overRate: "pause",
      pingIntervalMs: 25_000,
      pongTimeoutMs: 10_000,
      closeTimeoutMs: 10_000,
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
  return withoutUndefined(options);
}

export type RouteSettings = Required<Pick<AttachOptions, "handshakeTimeoutMs">> & AttachOptions;

export function checkAttachOptions(options: AttachOptions, call = "attach"): RouteSettings {
  check(call, options, attachOptions);
  return routeSettings(options);
}

export interface ListenSettings {
  readonly port: number;
  readonly host?: string;
  readonly route: RouteSettings;
  /** What the shards are told when the handshake is theirs. */
  readonly shard?: ListenerSettings;
  readonly accept: "main" | "shard";
}

export function checkListenOptions(options: ListenOptions): ListenSettings {
  check("listen", options, ["port", "host", "accept", "handshake", "tls", ...attachOptions], ["port"]);
  const { port, host, tls, accept = "main", ...others } = options;
  const { handshake = tls === undefined ? accept : "shard", ...rest } = others;
  const route = routeSettings(rest);
  const settings = { port, ...(host !== undefined && { host }), route, accept };
  if (handshake === "main") {
    if (accept === "shard")
      throw misfit('who accepts does the handshake, too: leave handshake out, or make it "shard"');
    if (tls === undefined) return settings;
    throw misfit('tls is done by the shards: leave handshake out, or make it "shard"');
  }
  const { authorize, ...plain } = route;
  if (authorize !== undefined) {
    throw misfit(
      "the shards do this handshake, and functions can't be sent to them: export authorize from the actor module",
    );
  }
  return { ...settings, shard: { route: plain, ...(tls && { tls: checkTlsOptions("listen", tls) }) } };
}

function misfit(what: string): SwitchboardError {
  return new SwitchboardError("configuration", "ERR_OPTION", `listen: ${what}`);
}

const closeOptions = ["drain", "readinessDelayMs", "batch", "batchIntervalMs", "code", "reason"] as const;

export interface CloseSettings extends DrainSettings {
  readonly readinessDelayMs: number;
}

export function checkCloseOptions(options: CloseOptions): CloseSettings {
  check("close", options, closeOptions);
  const {
    drain = 5_000,
    readinessDelayMs = 0,
    batch = 10_000,
    batchIntervalMs = 2_000,
    ...rest
  } = withoutUndefined(options);
  const { code = CloseCode.goingAway } = rest;
  const { reason = DEFAULT_REASONS[code] } = rest;
  return { timeoutMs: drain, readinessDelayMs, batch, batchIntervalMs, code, reason };
}

const DEFAULT_REASONS = {
  [CloseCode.goingAway]: "server is going away",
  [CloseCode.serviceRestart]: "server is restarting",
} as const;

export interface SignalSettings {
  readonly signals: readonly NodeJS.Signals[];
  readonly close: CloseOptions;
}

export function checkCloseOnSignalsOptions(options: CloseOnSignalsOptions): SignalSettings {
  check("closeOnSignals", options, ["signals", ...closeOptions]);
  const { signals = ["SIGTERM", "SIGINT"], ...close } = options;
  return { signals, close };
}

export function checkConnectionsOptions(options: ConnectionsOptions): void {
  check("connections", options, ["shard", "cursor", "limit"]);
}

function routeSettings(options: AttachOptions): RouteSettings {
  const { origins, ...rest } = withoutUndefined(options);
  return {
    handshakeTimeoutMs: 10_000,
    ...rest,
    ...(origins && { origins: origins.map((origin) => origin.toLowerCase()) }),
  };
}

/** Throws for the first option that is unknown, missing or out of range, with its name and what it takes. */
function check(
  call: string,
  options: object,
  known: readonly OptionName[],
  required: readonly OptionName[] = [],
): void {
  if (typeof options !== "object" || options === null) {
    throw new SwitchboardError("configuration", "ERR_OPTION", `${call}: the options must be an object`);
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name as OptionName)) continue;
    throw new SwitchboardError(
      "configuration",
      "ERR_OPTION",
      `${call}: unknown option "${name}"; the options are ${known.join(", ")}`,
    );
  }
  for (const name of known) {
    const value = (options as Record<string, unknown>)[name];
    if (value === undefined && !required.includes(name)) continue;
    const { takes, accepts }: Check = checks[name];
    if (accepts(value)) continue;
    throw new SwitchboardError("configuration", "ERR_OPTION", `${call}: ${name} takes ${takes}, got ${show(value)}`);
  }
}

function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  return typeof value === "object" && value !== null ? (value.constructor?.name ?? "an object") : String(value);
}

/** An option that is undefined is an option not given. */
function withoutUndefined<Options extends object>(options: Options): Options {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Options;
}

function isSignal(value: string): boolean {
  return Object.hasOwn(constants.signals, value) && value !== "SIGKILL" && value !== "SIGSTOP";
}

function isFileUrl(value: unknown): boolean {
  if (!(value instanceof URL) && typeof value !== "string") return false;
  return URL.parse(String(value))?.protocol === "file:";
}

function isPlacement(value: unknown): boolean {
  if (value === "leastConnections" || value === "roundRobin" || typeof value === "function") return true;
  if (typeof value !== "object" || value === null || Object.keys(value).length !== 1) return false;
  return "stickyBy" in value && typeof value.stickyBy === "function";
}

function isPathPattern(value: unknown): boolean {
  if (typeof value !== "string" || !value.startsWith("/")) return false;
  try {
    compilePathPattern(value);
    return true;
  } catch {
    return false;
  }
}

function isOrigin(value: string): boolean {
  return URL.parse(value)?.origin === value.toLowerCase();
}
