/** The config of the server from a file, from the environment and from flags. Used by all commands. */
import { readFile } from "node:fs/promises";
import { builtins } from "../../wire/node-internals/builtins.ts";
import { SUPERVISOR_VARIABLE } from "../../wire/passing/supervisor-messages.ts";
import { hasTokenKey } from "./client-checks.ts";
import type { ServerConfig } from "./config.ts";
import { checkTogether } from "./cross-checks.ts";
import { keysIn, variableOf } from "./description.ts";
import { type ConfigFault, NOWHERE } from "./fault.ts";
import { type FileConfig, SERVER_KEYS } from "./keys/server-keys.ts";
import { ConfigReader, type Overrides } from "./read.ts";
import { toServerConfig } from "./server-config.ts";
import { nearest } from "./suggest.ts";

export interface ConfigSources {
  /** Path of the config file: JSON with comments. Undefined: no file; then secrets that are missing are made. */
  readonly file?: string | undefined;
  /** Secrets that another process has made without a file, by their keys. */
  readonly made?: MadeSecrets | undefined;
  /** The environment. Default: none. Variables count more than the file, and empty ones count as not set. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Flags of the command by key: `{ "http_server.port": { flag: "--port", value: "9000" } }`. They count most. */
  readonly flags?: Readonly<Record<string, { readonly flag: string; readonly value: string } | undefined>>;
}

/** A secret that was made because no file gave one. */
export interface GeneratedSecret {
  readonly path: "client.token.hmac_secret_key" | "http_api.key";
  readonly value: string;
}

export type MadeSecrets = Readonly<Partial<Record<GeneratedSecret["path"], string>>>;

export type LoadedConfig =
  | {
      readonly kind: "ok";
      readonly config: ServerConfig;
      readonly warnings: readonly ConfigFault[];
      readonly generated: readonly GeneratedSecret[];
    }
  | { readonly kind: "faults"; readonly faults: readonly ConfigFault[]; readonly warnings: readonly ConfigFault[] };

const PREFIX = "SWITCHBOARD_";
/** Longest file in bytes. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;
/** Variables that Kubernetes sets for a service with the name of this package. */
const OF_KUBERNETES = /^SWITCHBOARD_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?)$/;

/** Loads the config. Never throws for bad input: all faults come at once. */
export async function loadConfig(sources: ConfigSources = {}): Promise<LoadedConfig> {
  if (sources.file === undefined) return parseConfig("{}", sources);
  let bytes: Buffer;
  try {
    bytes = await readFile(sources.file);
  } catch (error) {
    return fail(`can't be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (bytes.length > MAX_FILE_BYTES) return fail(`has ${bytes.length} bytes; a config has at most ${MAX_FILE_BYTES}`);
  return parseConfig(bytes.toString("utf8"), sources);
}

function fail(message: string): LoadedConfig {
  return { kind: "faults", faults: [{ ...NOWHERE, path: "", message }], warnings: [] };
}

/** Reads a config like `loadConfig`, from the text of a file. */
export function parseConfig(text: string, sources: ConfigSources = {}): LoadedConfig {
  const reader = new ConfigReader(SERVER_KEYS, overridesOf(sources));
  // The description and the type of the config are one: see ConfigOf.
  const read = reader.read(text.replace(/^\uFEFF/, "")) as unknown as FileConfig;
  const { file, generated } =
    sources.file === undefined ? withSecrets(read, reader, sources.made) : { file: read, generated: [] };
  checkTogether(file, reader);
  const warnings = [...unknownVariables(sources.env ?? {}), ...reader.warnings].toSorted(byPlace);
  if (reader.faults.length > 0) return { kind: "faults", faults: reader.faults.toSorted(byPlace), warnings };
  return { kind: "ok", config: toServerConfig(file), warnings, generated };
}

function byPlace(one: ConfigFault, other: ConfigFault): number {
  return one.line - other.line || one.column - other.column;
}

function overridesOf({ env = {}, flags = {} }: ConfigSources): Overrides {
  const overrides = new Map<string, { readonly name: string; readonly text: string }>();
  for (const { path, variable } of keysIn(SERVER_KEYS)) {
    const text = variable === undefined ? undefined : env[variable];
    if (variable !== undefined && text !== undefined && text !== "") overrides.set(path, { name: variable, text });
    const flag = flags[path];
    if (flag !== undefined) overrides.set(path, { name: flag.flag, text: flag.value });
  }
  return overrides;
}

/** Makes the secrets without which the server would be open, or closed to all. */
function withSecrets(
  file: FileConfig,
  reader: ConfigReader,
  made: MadeSecrets = {},
): { readonly file: FileConfig; readonly generated: readonly GeneratedSecret[] } {
  const { client, httpApi } = file;
  const generated: GeneratedSecret[] = [];
  const make = (path: GeneratedSecret["path"]): string => {
    const value = made[path] ?? makeSecret();
    generated.push({ path, value });
    return value;
  };
  const { token } = client;
  const needsToken = !client.insecure && !client.proxy.connect.enabled && !hasTokenKey(token);
  const needsKey = !httpApi.insecure && !httpApi.disabled && httpApi.key === "";
  const loopbackOnly = reader.has("http_api.loopback_only") ? httpApi.loopbackOnly : needsKey;
  return {
    generated,
    file: {
      ...file,
      client: needsToken
        ? { ...client, token: { ...token, hmacSecretKey: make("client.token.hmac_secret_key") } }
        : client,
      httpApi: { ...httpApi, loopbackOnly, ...(needsKey ? { key: make("http_api.key") } : {}) },
    },
  };
}

/** A secret of 256 bits as text. */
export function makeSecret(): string {
  return builtins.crypto.randomBytes(32).toString("base64url");
}

function unknownVariables(env: Readonly<Record<string, string | undefined>>): ConfigFault[] {
  const known = Array.from(keysIn(SERVER_KEYS), ({ path, variable }) => ({ path, variable }));
  const names = new Set(known.flatMap(({ variable }) => variable ?? []));
  const unknown = Object.keys(env).filter((name) => name.startsWith(PREFIX) && !names.has(name));
  return (
    unknown
      // Kubernetes and `switchboard run` set variables that are none of the config's.
      .filter((name) => !OF_KUBERNETES.test(name) && name !== SUPERVISOR_VARIABLE)
      .map((name) => {
        const namespaces = variableOf("channel.namespaces");
        const meant = name.startsWith(`${namespaces}_`) ? namespaces : nearest(name, names);
        const hint = meant === undefined ? "" : `; did you mean ${meant}?`;
        return {
          ...NOWHERE,
          variable: name,
          path: "",
          message: `no key has this variable, and it has no effect${hint}`,
        };
      })
  );
}
