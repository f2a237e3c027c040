/** The options of `redis()`, with their checks and defaults. */
import type { ConnectionOptions } from "node:tls";
import {
  checkNames,
  checkOption,
  integer,
  MAX_INT32,
  type OptionCheck,
  optionError,
} from "../../wire/handshake/option-check.ts";

/** The options of `node:tls` that can be sent to the thread of the engine. */
export type RedisTls = Pick<
  ConnectionOptions,
  "ca" | "cert" | "key" | "pfx" | "passphrase" | "rejectUnauthorized" | "servername" | "ciphers" | "minVersion"
>;

/** Host and port of a server. */
export interface RedisNode {
  readonly host: string;
  /** Default: 6379; of a sentinel: 26379. */
  readonly port?: number;
}

export interface RedisSentinel {
  /** Name under which the sentinels know the master, as in `sentinel monitor NAME`. */
  readonly name: string;
  /** Sentinels, which are asked in this order. */
  readonly nodes: readonly RedisNode[];
  /** User and password of the sentinels. Default: none. */
  readonly username?: string;
  readonly password?: string;
  /** TLS to the sentinels. Default: none. */
  readonly tls?: boolean | RedisTls;
}

export interface RedisCluster {
  /** Some servers of the cluster, which know the others. */
  readonly nodes: readonly RedisNode[];
}

export interface RedisOptions {
  /**
   * A single server: `redis://user:password@host:port/database`, or `rediss:` for TLS. Exactly one of `url`, `sentinel`
   * and `cluster` is given.
   */
  readonly url?: string;
  /** A master and its replicas, which Sentinel watches. */
  readonly sentinel?: RedisSentinel;
  /** A Redis Cluster, from Redis 7.0 on. */
  readonly cluster?: RedisCluster;
  /** User. Default: that of the URL, or Redis' default user. */
  readonly username?: string;
  /** Password. Default: that of the URL, or none. */
  readonly password?: string;
  /** TLS to the servers: true, or options of `node:tls`. Default: true for a `rediss:` URL, else false. */
  readonly tls?: boolean | RedisTls;
  /** Beginning of all keys and channels. Boards with the same prefix work together. Default: `switchboard`. */
  readonly prefix?: string;
  /** Time for each connection until it can be used, and for `start`, in ms. Default: 5,000. */
  readonly connectTimeoutMs?: number;
  /** Time for each answer of Redis, and for what is published to come back, in ms. Default: 5,000. */
  readonly commandTimeoutMs?: number;
  /** Time between two probes of the link, in ms. Default: 1,000. */
  readonly probeIntervalMs?: number;
  /** Time after which a node that isn't heard any more is gone, in ms. Default: 10,000. */
  readonly nodeTtlMs?: number;
  /** Time after which the members of a node that died are gone, in ms. Default: 60,000. */
  readonly presenceTtlMs?: number;
  /** True to wait at start until Redis can be reached. Default: false, `start` rejects after `connectTimeoutMs`. */
  readonly waitForStart?: boolean;
}

/** A server that can be dialled. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** User, password and TLS of a kind of servers. */
export interface Access {
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly tls: RedisTls | undefined;
  readonly database: number;
}

/** Kind of installation, and the addresses of its servers. */
export type Topology =
  | { readonly kind: "single"; readonly address: Address }
  | {
      readonly kind: "sentinel";
      readonly name: string;
      readonly sentinels: readonly Address[];
      readonly access: Access;
    }
  | { readonly kind: "cluster"; readonly seeds: readonly Address[] };

/** The options, checked and with defaults. Can be cloned. Has passwords: never part of a message. */
export interface RedisSettings {
  readonly topology: Topology;
  readonly access: Access;
  readonly prefix: string;
  readonly connectTimeoutMs: number;
  readonly commandTimeoutMs: number;
  readonly probeIntervalMs: number;
  readonly nodeTtlMs: number;
  readonly presenceTtlMs: number;
  readonly waitForStart: boolean;
}

const MAX_PREFIX_BYTES = 100;

const text: OptionCheck = {
  takes: "a string",
  accepts: (value) => typeof value === "string",
  describe: (value) => typeof value,
};
const bool: OptionCheck = { takes: "true or false", accepts: (value) => typeof value === "boolean" };
const isObject = (value: unknown): boolean => typeof value === "object" && value !== null && !Array.isArray(value);
const tls: OptionCheck = {
  takes: "true, false or an object",
  accepts: (value) => typeof value === "boolean" || isObject(value),
  describe: (value) => typeof value,
};
const object: OptionCheck = { takes: "an object", accepts: isObject, describe: (value) => typeof value };
const prefix: OptionCheck = {
  takes: `a string of 1 to ${MAX_PREFIX_BYTES} bytes without braces`,
  accepts: (value) =>
    typeof value === "string" && value !== "" && Buffer.byteLength(value) <= MAX_PREFIX_BYTES && !/[{}]/.test(value),
};
const timeout = integer(1, MAX_INT32);

const checks: Readonly<Record<keyof RedisOptions, OptionCheck>> = {
  url: text,
  sentinel: object,
  cluster: object,
  username: text,
  password: text,
  tls,
  prefix,
  connectTimeoutMs: timeout,
  commandTimeoutMs: integer(10, MAX_INT32),
  probeIntervalMs: integer(10, MAX_INT32),
  nodeTtlMs: integer(100, MAX_INT32),
  presenceTtlMs: integer(100, MAX_INT32),
  waitForStart: bool,
};

const CALL = "redis";

/** Checks the options and fills in the defaults. Throws `ERR_OPTION`, by name. No message has a password. */
export function checkRedisOptions(options: RedisOptions): RedisSettings {
  if (!isObject(options)) throw optionError(`${CALL} takes an object of options, got ${typeof options}`);
  check(CALL, options, checks);
  const kinds = (["url", "sentinel", "cluster"] as const).filter((name) => options[name] !== undefined);
  if (kinds.length !== 1) {
    const got = kinds.length === 0 ? "none" : kinds.join(" and ");
    throw optionError(`${CALL} takes exactly one of url, sentinel and cluster, got ${got}`);
  }
  const parsed = options.url === undefined ? undefined : parseUrl(options.url);
  return {
    topology: parsed?.topology ?? checkTopology(options),
    access: {
      username: options.username ?? parsed?.username,
      password: options.password ?? parsed?.password,
      tls: tlsOf(options.tls ?? parsed?.tls),
      database: parsed?.database ?? 0,
    },
    prefix: options.prefix ?? "switchboard",
    connectTimeoutMs: options.connectTimeoutMs ?? 5_000,
    commandTimeoutMs: options.commandTimeoutMs ?? 5_000,
    probeIntervalMs: options.probeIntervalMs ?? 1_000,
    nodeTtlMs: options.nodeTtlMs ?? 10_000,
    presenceTtlMs: options.presenceTtlMs ?? 60_000,
    waitForStart: options.waitForStart ?? false,
  };
}

function check<Name extends string>(call: string, options: object, known: Readonly<Record<Name, OptionCheck>>): void {
  checkNames(call, options, Object.keys(known));
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) checkOption(call, name, value, known[name as Name]);
  }
}

interface ParsedUrl {
  readonly topology: Topology;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly tls: boolean;
  readonly database: number;
}

/** The errors say nothing of what was parsed, because an URL may have a password, as a wrong one may. */
function parseUrl(url: string): ParsedUrl {
  const parsed = URL.parse(url);
  if (parsed === null || !/^rediss?:$/.test(parsed.protocol) || parsed.hostname === "") {
    throw optionError(`${CALL}: url takes redis://host:port or rediss://host:port`);
  }
  const database = parsed.pathname.replace(/^\//, "");
  if (!/^\d{0,5}$/.test(database)) throw optionError(`${CALL}: url has a path that is no number of a database`);
  const [username, password] = [decode(parsed.username), decode(parsed.password)];
  const host = parsed.hostname.replace(/^\[(.*)\]$/, "$1");
  return {
    topology: { kind: "single", address: { host, port: parsed.port === "" ? 6379 : Number(parsed.port) } },
    username: username === "" ? undefined : username,
    password: password === "" ? undefined : password,
    tls: parsed.protocol === "rediss:",
    database: Number(database),
  };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw optionError(`${CALL}: url has a user or a password with a wrong percent sign`);
  }
}

function checkTopology({ sentinel, cluster }: RedisOptions): Topology {
  if (sentinel !== undefined) {
    check(`${CALL}.sentinel`, sentinel, { name: text, nodes: nodes, username: text, password: text, tls });
    if (sentinel.name === undefined || sentinel.name === "") {
      throw optionError(`${CALL}.sentinel: name takes the name of the master, as in "sentinel monitor NAME"`);
    }
    const { username, password } = sentinel;
    return {
      kind: "sentinel",
      name: sentinel.name,
      sentinels: addressesOf(`${CALL}.sentinel`, sentinel.nodes, 26_379),
      access: { username, password, tls: tlsOf(sentinel.tls), database: 0 },
    };
  }
  check(`${CALL}.cluster`, cluster ?? {}, { nodes: nodes });
  return { kind: "cluster", seeds: addressesOf(`${CALL}.cluster`, cluster?.nodes, 6379) };
}

const nodes: OptionCheck = {
  takes: "an array of one or more { host, port }",
  accepts: (value) => Array.isArray(value) && value.length > 0 && value.every(isObject),
  describe: (value) => (Array.isArray(value) ? "an array of something else, or of nothing" : typeof value),
};

function addressesOf(call: string, given: readonly RedisNode[] | undefined, defaultPort: number): Address[] {
  checkOption(call, "nodes", given, nodes);
  return (given ?? []).map((node, index) => {
    check(`${call}.nodes[${index}]`, node, { host: text, port: integer(1, 65_535) });
    if (!node.host) throw optionError(`${call}.nodes[${index}]: host takes the name of a host`);
    return { host: node.host, port: node.port ?? defaultPort };
  });
}

function tlsOf(option: boolean | RedisTls | undefined): RedisTls | undefined {
  if (option === undefined || option === false) return undefined;
  return option === true ? {} : option;
}
