/** The config of the server, for the commands that need its secrets or its address. */
import { formatFault } from "../server/config/fault.ts";
import { type LoadedConfig, loadConfig } from "../server/config/load.ts";
import { CommandError } from "./usage-error.ts";

export type GoodConfig = LoadedConfig & { readonly kind: "ok" };

/**
 * Loads the config from a file and the environment; without a file from the environment only. Throws a CommandError with
 * all faults. Warnings are those of `config check` and `serve`: other commands don't repeat them.
 */
export async function loadGoodConfig(file: string | undefined): Promise<GoodConfig> {
  const loaded = await loadConfig({ file, env: process.env });
  if (loaded.kind === "ok") return loaded;
  const faults = loaded.faults.map((fault) => formatFault(fault, file));
  throw new CommandError(`the config has ${count(faults.length, "fault")}:\n${faults.join("\n")}`);
}

/** "1 fault", "2 faults". */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
