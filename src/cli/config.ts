/** The command `switchboard config`: writes a config file, and checks one. */
import { writeFile } from "node:fs/promises";
import { dirname, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { formatFault } from "../server/config/fault.ts";
import { freshFile } from "../server/config/fresh-file.ts";
import { loadConfig } from "../server/config/load.ts";
import { certificateOf } from "../server/serve/http/certificate.ts";
import { count, DEFAULT_FILE, type GoodConfig, unusedFile } from "./load-config.ts";
import { parseFlags } from "./parse-flags.ts";
import { CommandError, UsageError } from "./usage-error.ts";

const HELP = `Usage: switchboard config init [FILE]
       switchboard config check [--config FILE]

init writes a config file with fresh secrets that only you may read (switchboard.json). A file that exists stays as it is.
check tells all faults of a config file, of the files for TLS that it names and of the SWITCHBOARD_ variables; without
a file, of the variables only. It doesn't try addresses, backends or Redis.

  --config FILE  the file to check
  --help         show this help

Exit code: 0 on success; 1 if the config has faults, or if the file can't be written; 2 for invalid flags.
`;

/** True in the built package, where the files lie elsewhere than in the sources. */
const built = !import.meta.url.endsWith(".ts");
const SCHEMA = new URL(built ? "./config-schema.json" : "../server/config/schema.json", import.meta.url);

/** Runs the command. Resolves with the exit code. */
export async function config(args: readonly string[]): Promise<number> {
  const flags = { config: { type: "string" as const }, help: { type: "boolean" as const } };
  const { values, positionals } = parseFlags("config", args, flags);
  const [action, file, ...more] = positionals;
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (more.length > 0) throw new UsageError(`config ${action} takes one file; ${more[0]} is one too many`);
  if (action === "init" && values.config === undefined) return init(file ?? DEFAULT_FILE);
  if (action === "check" && (file === undefined || values.config === undefined)) return check(file ?? values.config);
  if (action === "init") throw new UsageError("config init takes the file without --config: config init FILE");
  if (action === "check") throw new UsageError(`config check takes one file; ${file} is one too many`);
  throw new UsageError(`config takes init or check${action === undefined ? "" : `, not ${action}`}`);
}

async function init(file: string): Promise<number> {
  const path = relative(dirname(resolve(file)), fileURLToPath(SCHEMA)).replaceAll("\\", "/");
  try {
    await writeFile(file, freshFile(path.startsWith(".") ? path : `./${path}`), { flag: "wx", mode: 0o600 });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") {
      throw new CommandError(`${file} exists and stays as it is: give another name, or move the file away`);
    }
    throw new CommandError(`can't write ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
  console.log(`Wrote ${file} with fresh secrets. Start the server with: npx switchboard serve --config ${file}`);
  return 0;
}

async function check(file: string | undefined): Promise<number> {
  const loaded = await loadConfig({ file, env: process.env });
  const faults =
    loaded.kind === "faults" ? loaded.faults.map((fault) => formatFault(fault, file)) : await tlsFaults(loaded);
  for (const fault of faults) console.error(fault);
  for (const warning of loaded.warnings) console.error(`warning: ${formatFault(warning, file)}`);
  const unused = unusedFile(file);
  if (unused !== undefined) console.error(`warning: found ${unused}; say --config ${unused} to check it`);
  if (faults.length > 0) console.error(count(faults.length, "fault"));
  else console.log("ok");
  return faults.length > 0 ? 1 : 0;
}

/** Reads the files of `http_server.tls` as the server would. */
async function tlsFaults({ config: { httpServer } }: GoodConfig): Promise<string[]> {
  if (httpServer.tls === undefined) return [];
  try {
    await certificateOf(httpServer.tls);
    return [];
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
}
