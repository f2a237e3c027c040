/** The check of each option of a board, by name. All calls of the board use it. */
import { constants } from "node:os";
import type { EngineSpec } from "../../../runtime/streams/engine.ts";
import {
  checkNames,
  checkOption,
  integer,
  listOf,
  MAX_INT32,
  type OptionCheck,
  oneOf,
  recordOf,
  show,
} from "../../../wire/handshake/option-check.ts";
import { originsCheck } from "../../../wire/handshake/origins.ts";
import { compilePathPattern } from "../../../wire/handshake/path-pattern.ts";
import { isToken } from "../../../wire/handshake/tokens.ts";
import { CloseCode, MAX_REASON_BYTES } from "../../../wire/protocol/close-code.ts";
import { isSlowConsumerPolicy, SLOW_CONSUMER_POLICIES } from "../../../wire/protocol/slow-consumer-policy.ts";
import { isAddressOrNetwork } from "../../../wire/transport/ip-address.ts";
import { UNIX_PEERS } from "../../accept/client-address.ts";

const timeoutOrNone: OptionCheck = {
  ...integer(0, MAX_INT32),
  takes: `an integer from 1 to ${MAX_INT32}, or 0 for no timeout`,
};

const ACTOR_NAME = /^[\w-]{1,64}$/;

const checks = {
  actor: { takes: "a file URL, as a URL or a string", accepts: isFileUrl },
  actors: recordOf(
    'file URLs by name (a name has 1 to 64 letters, digits, "_" and "-")',
    (name, value) => ACTOR_NAME.test(name) && isFileUrl(value),
  ),
  shards: {
    takes: '"auto" or an integer from 1 to 1024',
    accepts: (value) => value === "auto" || integer(1, 1024).accepts(value),
  },
  warmUp: { takes: "true or false", accepts: (value) => typeof value === "boolean" },
  sockets: oneOf(["auto", "node", "uring", "relay"]),
  placement: {
    takes: '"leastConnections", "roundRobin", an object with a function stickyBy, or a function',
    accepts: isPlacement,
  },
  rebalance: integer(0, MAX_INT32),
  takeover: {
    takes: "the path of a Unix socket, true or false, or an object with the path and functions",
    accepts: (value) =>
      typeof value === "boolean" ||
      (typeof value === "string" && value !== "") ||
      (typeof value === "object" && value !== null),
  },
  give: { takes: "a function", accepts: (value) => typeof value === "function" },
  take: { takes: "a function", accepts: (value) => typeof value === "function" },
  recycle: { takes: "an object of bounds", accepts: (value) => typeof value === "object" && value !== null },
  maxMemoryMb: integer(1, MAX_INT32),
  forMs: integer(1, MAX_INT32),
  minIntervalMs: integer(1, MAX_INT32),
  maxEventLoopDelayMs: integer(1, MAX_INT32),
  maxConnections: integer(1, MAX_INT32),
  maxConnectionsPerShard: integer(1, MAX_INT32),
  maxConnectionsPerAddress: integer(1, MAX_INT32),
  maxUpgradesPerSecond: integer(1, MAX_INT32),
  trustedProxies: listOf(
    'addresses, networks ("10.0.0.0/8") and "unix:"',
    (value) => value === UNIX_PEERS || isAddressOrNetwork(value),
  ),
  resourceLimits: { takes: "an object of limits", accepts: (value) => typeof value === "object" && value !== null },
  maxOldGenerationSizeMb: integer(1, MAX_INT32),
  maxYoungGenerationSizeMb: integer(1, MAX_INT32),
  stackSizeMb: integer(1, MAX_INT32),
  shardTimeoutMs: timeoutOrNone,
  handoffTimeoutMs: integer(1, MAX_INT32),
  startTimeoutMs: timeoutOrNone,
  topics: { takes: "an object of options by pattern", accepts: (value) => typeof value === "object" && value !== null },
  engine: {
    takes: "memory(), or redis() of switchboard/redis",
    accepts: isEngine,
    describe: (value) => (typeof value === "function" ? "a function; call it: redis({ url })" : show(value)),
  },
  nodeName: {
    takes: "a string of 1 to 255 characters",
    accepts: (value) => typeof value === "string" && value.length >= 1 && value.length <= 255,
  },
  signal: { takes: "an AbortSignal", accepts: (value) => value instanceof AbortSignal },
  maxPayloadBytes: integer(1, MAX_INT32),
  maxFragments: integer(1, MAX_INT32),
  maxMailboxMessages: integer(1, MAX_INT32),
  maxMailboxBytes: integer(1, MAX_INT32),
  maxMails: integer(1, MAX_INT32),
  maxBufferedBytes: integer(1, MAX_INT32),
  maxSubscriptions: integer(1, MAX_INT32),
  slowConsumerPolicy: { takes: `one of ${SLOW_CONSUMER_POLICIES.join(", ")}`, accepts: isSlowConsumerPolicy },
  maxMessagesPerSecond: integer(1, MAX_INT32),
  maxBytesPerSecond: integer(1, MAX_INT32),
  rateLimitPolicy: oneOf(["pause", "close"]),
  pingIntervalMs: { ...integer(0, MAX_INT32), takes: `an integer from 1 to ${MAX_INT32}, or 0 for no pings` },
  pongTimeoutMs: integer(1, MAX_INT32),
  closeTimeoutMs: integer(1, MAX_INT32),
  handlerTimeoutMs: timeoutOrNone,
  handlerTimeoutAfterCloseMs: timeoutOrNone,
  compression: {
    takes: "true, false or an object of options",
    accepts: (value) => typeof value === "boolean" || (typeof value === "object" && value !== null),
  },
  threshold: integer(0, MAX_INT32),
  level: integer(1, 9),
  windowBits: integer(9, 15),
  contextTakeover: { takes: "true or false", accepts: (value) => typeof value === "boolean" },
  path: {
    takes: 'a path pattern that begins with "/", such as "/chat/:room"',
    accepts: isPathPattern,
    describe: (value) =>
      typeof value === "string" && value.startsWith("/") ? `${show(value)}, which URLPattern can't read` : show(value),
  },
  authorize: { takes: "a function", accepts: (value) => typeof value === "function" },
  origins: originsCheck,
  protocols: listOf("subprotocol names (tokens)", isToken),
  handshakeTimeoutMs: integer(1, MAX_INT32),
  port: integer(0, 65_535),
  host: { takes: "a host name or an address", accepts: (value) => typeof value === "string" && value !== "" },
  handshake: oneOf(["main", "shard"]),
  accept: oneOf(["main", "shard"]),
  tls: { takes: "an object with key and cert", accepts: (value) => typeof value === "object" && value !== null },
  timeoutMs: integer(0, MAX_INT32),
  keepOldMs: integer(0, MAX_INT32),
  isLocal: { takes: "true or false", accepts: (value) => typeof value === "boolean" },
  readinessDelayMs: integer(0, MAX_INT32),
  batchSize: integer(1, MAX_INT32),
  batchIntervalMs: integer(1, MAX_INT32),
  code: {
    takes: "1001, 1012, or an integer from 3000 to 4999",
    accepts: (value) =>
      value === CloseCode.goingAway || value === CloseCode.serviceRestart || integer(3000, 4999).accepts(value),
  },
  reason: {
    takes: `a string of at most ${MAX_REASON_BYTES} bytes`,
    accepts: (value) => typeof value === "string" && Buffer.byteLength(value) <= MAX_REASON_BYTES,
  },
  signals: listOf("names of signals that can be handled", isSignal),
  node: { takes: "the id of a node, as nodes() tells it", accepts: (value) => typeof value === "string" },
  shard: integer(0, 1023),
  cursor: { takes: "what a page before gave", accepts: (value) => typeof value === "string" },
  limit: integer(1, 1_000),
} as const satisfies Record<string, OptionCheck>;

export type OptionName = keyof typeof checks;

/**
 * Throws `ERR_OPTION` for the first option that is unknown, missing or out of range. The message names the option and
 * what it takes.
 *
 * @param own checks of this call that take the place of those of the same name
 */
export function check(
  call: string,
  options: object,
  known: readonly OptionName[],
  required: readonly OptionName[] = [],
  own: Partial<Record<OptionName, OptionCheck>> = {},
): void {
  checkNames(call, options, known);
  for (const name of known) {
    const value = (options as Record<string, unknown>)[name];
    if (value === undefined && !required.includes(name)) continue;
    checkOption(call, name, value, own[name] ?? checks[name]);
  }
}

/** Removes options that are undefined: they count as not given. */
export function withoutUndefined<Options extends object>(options: Options): Options {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Options;
}

/** Returns the options of these names that are given. */
export function pick<Options extends object, Name extends keyof Options>(
  options: Options,
  names: readonly Name[],
): Pick<Options, Name> {
  const given = names.filter((name) => name in options).map((name) => [name, options[name]]);
  return Object.fromEntries(given) as Pick<Options, Name>;
}

function isSignal(value: string): boolean {
  return Object.hasOwn(constants.signals, value) && value !== "SIGKILL" && value !== "SIGSTOP";
}

function isEngine(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { name, module } = value as Partial<EngineSpec>;
  return typeof name === "string" && typeof module === "string" && URL.canParse(module);
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
