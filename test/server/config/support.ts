/** What the tests of the config share. */
import type { ServerConfig } from "../../../src/server/config/config.ts";
import { type ConfigFault, formatFault } from "../../../src/server/config/fault.ts";
import { type LoadedConfig, parseConfig } from "../../../src/server/config/load.ts";

export const FILE = "switchboard.json";

/** The smallest file without a fault or a warning. */
export const ENOUGH = {
  client: { token: { hmac_secret_key: "0123456789abcdef0123456789abcdef" } },
  http_api: { key: "0123456789abcdef" },
};

type Json = { readonly [name: string]: unknown };

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function merge(one: Json, other: Json): Json {
  const both = Object.entries(other).map(([name, value]) => {
    const before = one[name];
    return [name, isObject(before) && isObject(value) ? merge(before, value) : value] as const;
  });
  return { ...one, ...Object.fromEntries(both) };
}

/** Parses the smallest file with more keys. */
export function parse(more: Json, env: Readonly<Record<string, string>> = {}): LoadedConfig {
  return parseConfig(JSON.stringify(merge(ENOUGH, more), undefined, 2), { file: FILE, env });
}

export function lines(faults: readonly ConfigFault[]): string[] {
  return faults.map((fault) => formatFault(fault, FILE));
}

/** The config; fails with all faults if there are any. */
export function configOf(loaded: LoadedConfig): ServerConfig {
  if (loaded.kind === "faults") throw new Error(lines(loaded.faults).join("\n"));
  return loaded.config;
}

/** The faults of a file with more keys, without their places. */
export function faultsOf(more: Json, env?: Readonly<Record<string, string>>): string[] {
  const loaded = parse(more, env);
  return loaded.kind === "ok" ? [] : loaded.faults.map(({ path, message }) => `${path}: ${message}`);
}

export function warningsOf(more: Json, env?: Readonly<Record<string, string>>): string[] {
  return parse(more, env).warnings.map(({ path, message }) => `${path}: ${message}`);
}
