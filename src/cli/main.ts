#!/usr/bin/env node
/** The program `switchboard`: chooses a command, and turns its result into an exit code. */
import { checkNode } from "../board/switchboard/node-version.ts";
import { CommandError, UsageError } from "./usage-error.ts";
import { version } from "./version.ts";

const HELP = `Usage: switchboard <command>

  serve                  start the realtime server for backends in any language
  config init [FILE]     write a config file with fresh secrets
  config check           tell all faults of a config
  token --user USER      make a token for a client
  publish CHANNEL DATA   publish JSON to a channel of a running server
  channels [PATTERN]     list the channels that have subscribers
  connections            list the clients
  info                   show the nodes and their counts

  run FILE               run a program, and replace it at SIGHUP without dropping a connection

  bench <url>            put a load on a WebSocket server and measure it
  demo                   serve a chat for the browser, on all cores; the variable PORT sets its port (8080)

  --help                 show this help; after a command, show its flags
  --version              show the version
`;
const FAILURE = 1;
const USAGE = 2;

async function run([command, ...args]: readonly string[]): Promise<number> {
  if (command === "bench") return (await import("./bench.ts")).bench(args);
  if (command === "run") return (await import("./run/command.ts")).run(args);
  if (command === "serve") return (await import("./serve.ts")).serve(args);
  if (command === "config") return (await import("./config.ts")).config(args);
  if (command === "token") return (await import("./token.ts")).token(args);
  if (command === "publish" || command === "channels" || command === "connections" || command === "info") {
    return (await import("./api-commands.ts")).apiCommand(command, args);
  }
  if (command === "demo") return (await import("./demo.ts")).demo(args);
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

/** A command may use what an older Node doesn't have, so this comes before its modules are loaded. */
function checkThisNode(): void {
  try {
    checkNode(process.versions.node);
  } catch (error) {
    throw new CommandError((error as Error).message);
  }
}

try {
  checkThisNode();
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError || error instanceof CommandError)) throw error;
  process.stderr.write(`switchboard: ${error.message}\n`);
  process.exitCode = error instanceof UsageError ? USAGE : FAILURE;
}
