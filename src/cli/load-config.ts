/** The config of the server, for the commands that need its secrets or its address. */
import { existsSync } from "node:fs";
import { formatFault } from "../server/config/fault.ts";
import { type LoadedConfig, loadConfig } from "../server/config/load.ts";
import { CommandError } from "./usage-error.ts";

export type GoodConfig = LoadedConfig & { readonly kind: "ok" };

/**
 * Loads the config from a file and the environment; without a file, from the environment only. Throws a CommandError
 * with all faults. Warnings are left to `config check` and `serve`: other commands don't repeat them.
 */
export async function loadGoodConfig(file: string | undefined): Promise<GoodConfig> {
  const loaded = await loadConfig({ file, env: process.env });
  if (loaded.kind === "ok") return loaded;
  const faults = loaded.faults.map((fault) => formatFault(fault, file));
  const unused = unusedFile(file);
  const hint = unused === undefined ? "" : `\nfound ${unused}; say --config ${unused} to use it`;
  throw new CommandError(`the config has ${count(faults.length, "fault")}:\n${faults.join("\n")}${hint}`);
}

/** Name of the file that `config init` writes. */
export const DEFAULT_FILE = "switchboard.json";

/** Returns the config in the working directory if no config was named: nothing is read from it. */
export function unusedFile(named: string | undefined): string | undefined {
  return named === undefined && existsSync(DEFAULT_FILE) ? DEFAULT_FILE : undefined;
}

/** "1 fault", "2 faults". */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
