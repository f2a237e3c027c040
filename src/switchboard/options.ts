import { availableParallelism } from "node:os";
import { SwitchboardError } from "../errors.ts";
import { compilePathPattern } from "../handshake/path-pattern.ts";
import { isToken } from "../handshake/tokens.ts";
import { type CompressionOptions, DEFAULT_COMPRESSION } from "../protocol/compression.ts";
import type { Authorize } from "../shard/authorize.ts";
import type { ConnectionOptions } from "../shard/connection.ts";
import type { ListenerSettings } from "../shard/messages.ts";
import type { TlsOptions } from "../shard/tls-settings.ts";
import type { ConnectionsOptions } from "./listing.ts";
import { checkTlsOptions } from "./tls-options.ts";

/** How a board runs. Times are in milliseconds, sizes in bytes. */
export interface StartOptions extends Partial<Omit<ConnectionOptions, "compression">> {
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
  /** Speak TLS, done by the shards like the handshake. Default: none. */
  readonly tls?: TlsOptions;
}

export interface CloseOptions {
  /** How long close handshakes may take before what is left is dropped. Default: 5 s. */
  readonly drain?: number;
}

/** Says what is wrong with a value, or nothing. */
type Check = { readonly takes: string; readonly accepts: (value: unknown) => boolean };

const MAX_TIMEOUT_MS = 2 ** 31 - 1;
const MAX_BYTES = 2 ** 31 - 1;

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
  maxPayloadBytes: integer(1, MAX_BYTES),
  maxFragments: integer(1, MAX_BYTES),
  mailboxLimit: integer(1, MAX_BYTES),
  mailboxLimitBytes: integer(1, MAX_BYTES),
  mailLimit: integer(1, MAX_BYTES),
  maxBufferedBytes: integer(1, MAX_BYTES),
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
  tls: { takes: "an object with key and cert", accepts: (value) => typeof value === "object" && value !== null },
  drain: integer(0, MAX_TIMEOUT_MS),
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
  "pingIntervalMs",
  "pongTimeoutMs",
  "closeTimeoutMs",
] as const satisfies readonly (keyof ConnectionOptions)[];

const compressionOptions = [
  "threshold",
  "level",
  "windowBits",
  "contextTakeover",
] as const satisfies readonly (keyof CompressionOptions)[];

const attachOptions = ["path", "authorize", "origins", "protocols", "handshakeTimeoutMs"] as const;

export interface Settings {
  readonly actor: string;
  readonly shards: number;
  readonly sockets: "auto" | "relay";
  readonly connection: ConnectionOptions;
}

export function checkStartOptions(options: StartOptions): Settings {
  check("Switchboard.start", options, ["actor", "shards", "compression", "sockets", ...connectionOptions], ["actor"]);
  const { actor, shards = "auto", compression = false, sockets = "auto", ...connection } = withoutUndefined(options);
  return {
    actor: String(actor),
    shards: shards === "auto" ? availableParallelism() : shards,
    sockets,
    connection: {
      maxPayloadBytes: 1024 * 1024,
      // Conformance suites send messages of 65,537 fragments.
      maxFragments: 131_072,
      mailboxLimit: 1024,
      mailboxLimitBytes: 1024 * 1024,
      mailLimit: 1024,
      maxBufferedBytes: 1024 * 1024,
      pingIntervalMs: 25_000,
      pongTimeoutMs: 10_000,
      closeTimeoutMs: 10_000,
      ...connection,
      ...(compression !== false && { compression: checkCompression(compression) }),
    },
  };
}

function checkCompression(options: true | Partial<CompressionOptions>): CompressionOptions {
  if (options === true) return DEFAULT_COMPRESSION;
  check("Switchboard.start: compression", options, compressionOptions);
  return { ...DEFAULT_COMPRESSION, ...withoutUndefined(options) };
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
}

export function checkListenOptions(options: ListenOptions): ListenSettings {
  check("listen", options, ["port", "host", "handshake", "tls", ...attachOptions], ["port"]);
  const { port, host, tls, handshake = tls === undefined ? "main" : "shard", ...rest } = options;
  const route = routeSettings(rest);
  const settings = { port, ...(host !== undefined && { host }), route };
  if (handshake === "main") {
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

export function checkCloseOptions(options: CloseOptions): Required<CloseOptions> {
  check("close", options, ["drain"]);
  return { drain: options.drain ?? 5_000 };
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

function isFileUrl(value: unknown): boolean {
  if (!(value instanceof URL) && typeof value !== "string") return false;
  return URL.parse(String(value))?.protocol === "file:";
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
