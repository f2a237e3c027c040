#!/usr/bin/env node
/** The program `switchboard`: chooses a command, and turns its result into an exit code. */
import { readFile } from "node:fs/promises";
import { UsageError } from "./usage-error.ts";

const HELP = `Usage: switchboard <command>

  bench <url>  put a load on a WebSocket server and measure it
  demo         serve a chat for the browser, on all cores; the variable PORT sets its port (8080)

  --help       show this help; after bench, show its flags
  --version    show the version
`;
const USAGE = 2;

async function run([command, ...args]: readonly string[]): Promise<number> {
  if (command === "bench") return (await import("./bench.ts")).bench(args);
  if (command === "demo") {
    if (args[0] !== undefined) throw new UsageError(`demo takes no ${args[0]}; set its port with the variable PORT`);
    return (await import("./demo.ts")).demo();
  }
  if (command === "--version") {
    console.log(await version());
    return 0;
  }
  if (command !== undefined && command !== "--help") {
    const kind = command.startsWith("-") ? "flag" : "command";
    throw new UsageError(`there is no ${kind} ${command}; switchboard --help lists all`);
  }
  process.stdout.write(HELP);
  return command === undefined ? USAGE : 0;
}

async function version(): Promise<string> {
  // package.json is two folders up, both from the sources and from the built package.
  const packageJson: unknown = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8"));
  return (packageJson as { version: string }).version;
}

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`switchboard: ${error.message}\n`);
  process.exitCode = USAGE;
}
