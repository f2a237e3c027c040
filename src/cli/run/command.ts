/** The command `switchboard run`: a supervisor for one program, which replaces it without dropping a connection. */
import { closeSync, mkdtempSync, openSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { type ParseArgsConfig, parseArgs } from "node:util";
import { onNpmShellEnd } from "../npm-shell.ts";
import { parseFlags } from "../parse-flags.ts";
import { CommandError, UsageError } from "../usage-error.ts";
import { reapOrphans } from "./children.ts";
import { serviceManager } from "./service-manager.ts";
import { Supervisor } from "./supervisor.ts";
import { watchFolder } from "./watch.ts";

const HELP = `Usage: switchboard run [flags] FILE [arguments of the program]
       switchboard run [flags] serve [flags of serve]

Runs a program of Node, and replaces it without dropping a connection: at SIGHUP or SIGUSR2 a new process of it starts
beside the old one and takes over its ports and connections, if its board has the option takeover: true. If the new
process fails, the old one goes on. serve is the server of switchboard serve; a file of that name is ./serve.

  --restart             start the program again when it fails: after 0.1 s, then twice as long each time, up to 30 s
  --watch               replace it when code or configuration below its folder changes (.js, .ts, .json, .yaml, .toml,
                        .wasm, .node and their kind; nothing in node_modules, no logs)
  --node PATH           the program that runs FILE (this Node); looked up again at each replacement
  --ready-timeout SECS  time that a new process has to take over (120)
  --stop-timeout SECS   time that the program has to end after SIGTERM or SIGINT, before it is killed (40)
  --help                show this help

The exit code is that of the program. Guide: src/guides/deploying.md
`;

const FLAGS = {
  restart: { type: "boolean" },
  watch: { type: "boolean" },
  node: { type: "string" },
  "ready-timeout": { type: "string" },
  "stop-timeout": { type: "string" },
  help: { type: "boolean" },
} satisfies NonNullable<ParseArgsConfig["options"]>;

const DEFAULT_READY_TIMEOUT_S = 120;
const DEFAULT_STOP_TIMEOUT_S = 40;
/** A day. */
const MAX_TIMEOUT_S = 86_400;

/** Runs the command. Ends the process with the exit code of the program, and resolves only with the help. */
export async function run(args: readonly string[]): Promise<number> {
  const { own, program: named } = split(args);
  const { values } = parseFlags("run", own, FLAGS);
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const isServe = named[0] === "serve";
  if (isServe && values.watch) throw new UsageError("run --watch is for programs: switchboard serve --watch reloads");
  // Name that the shell gave: at the next replacement it may lead to another version of this package.
  const program = isServe ? [process.argv[1] ?? "", ...named] : named;
  const readyTimeoutMs = timeoutMs("ready-timeout", values["ready-timeout"], DEFAULT_READY_TIMEOUT_S);
  const stopTimeoutMs = timeoutMs("stop-timeout", values["stop-timeout"], DEFAULT_STOP_TIMEOUT_S);
  const [file] = program;
  if (file === undefined) throw new UsageError(`run needs the file of a program${whatTookIt(own)}`);
  const cwd = workingDirectory();
  const path = programAt(resolve(cwd, file));
  if (values.node?.includes("/") && !isFile(values.node)) {
    throw new CommandError(`--node: there is no file ${values.node}`);
  }
  const settings = {
    node: values.node ?? process.execPath,
    args: [...process.execArgv, ...program],
    cwd,
    readyTimeoutMs,
    stopTimeoutMs,
    restart: values.restart === true,
  };
  const report = (line: string): void => void process.stderr.write(`switchboard: ${line}\n`);
  const takeover = process.env["SWITCHBOARD_TAKEOVER"] || join(makeFolder(), "takeover.sock");
  reapOrphans();
  const manager = serviceManager(report);
  // Signals are handled before the program starts: one that came in between would leave the program behind.
  let supervisor: Supervisor | undefined;
  handleSignals({ stop: (signal) => supervisor?.stop(signal), replace: () => supervisor?.replace() });
  supervisor = new Supervisor({ ...settings, takeover }, manager, report);
  if (values.watch) watchFolder(dirname(path), basename(path), () => supervisor?.replace());
  const code = await supervisor.ended;
  await manager.told();
  // PM2 listens in this process, which would keep the process alive.
  process.exit(code);
}

/**
 * Makes the folder of the takeover socket, until the end of this process. The folder has mode 0700: whoever can connect
 * there gets every connection.
 */
function makeFolder(): string {
  const parent = process.env["RUNTIME_DIRECTORY"]?.split(":")[0] ?? tmpdir();
  try {
    const folder = mkdtempSync(join(parent, "switchboard-"));
    process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
    return folder;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const advice =
      "set TMPDIR to a folder that can be written to, in a read-only container one by docker run --tmpfs /tmp";
    throw new CommandError(`can't make a folder for the takeover socket in ${parent} (${code}): ${advice}`);
  }
}

/** Parts the supervisor's own arguments from the program and its arguments, which may look like flags. */
function split(args: readonly string[]): { own: readonly string[]; program: readonly string[] } {
  const { tokens } = parseArgs({
    args: [...args],
    options: FLAGS,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const first = tokens.find(({ kind }) => kind !== "option")?.index ?? args.length;
  return { own: args.slice(0, first), program: args.slice(args[first] === "--" ? first + 1 : first) };
}

/** Says which flag took the last argument as its value, or what a call looks like. */
function whatTookIt(own: readonly string[]): string {
  const [flag, value] = own.slice(-2);
  if (value === undefined || !(flag === "--node" || flag?.endsWith("-timeout"))) return ": switchboard run server.js";
  return `: ${flag} took ${value}`;
}

/** Returns the file that Node runs for a path. A folder may have an `index.js`, or a `package.json` with `main`. */
function programAt(path: string): string {
  if (isFile(path)) return path;
  try {
    return createRequire(path).resolve(path);
  } catch {
    const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory();
    throw new CommandError(isFolder ? `${path} is a folder: name the file of the program` : `there is no file ${path}`);
  }
}

/** True for a file, and for what can be read like one. */
function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === false;
}

function timeoutMs(flag: string, text: string | undefined, defaultSeconds: number): number {
  const seconds = text === undefined ? defaultSeconds : Number(text);
  if (!(seconds > 0 && seconds <= MAX_TIMEOUT_S)) {
    throw new UsageError(`--${flag} takes a number of seconds, more than 0 and at most ${MAX_TIMEOUT_S}, not ${text}`);
  }
  return seconds * 1_000;
}

/**
 * Returns the working directory by the name that the shell knows (PWD). A name such as /srv/chat/current may lead to
 * another folder at the next replacement.
 */
function workingDirectory(): string {
  const cwd = process.cwd();
  const named = process.env["PWD"];
  if (named === undefined) return cwd;
  const [one, other] = [cwd, named].map((path) => statSync(path, { throwIfNoEntry: false }));
  return one?.ino === other?.ino && one?.dev === other?.dev ? named : cwd;
}

function handleSignals(supervisor: Pick<Supervisor, "stop" | "replace">): void {
  const hasTerminal = canOpenTerminal();
  process.on("SIGHUP", () => {
    // The system sends this signal also when the terminal closes.
    if (hasTerminal && !canOpenTerminal()) supervisor.stop("SIGTERM");
    else supervisor.replace();
  });
  process.on("SIGUSR2", () => supervisor.replace());
  for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"] as const) process.on(signal, () => supervisor.stop(signal));
  // If the supervisor itself fails, the program doesn't stay behind.
  process.once("exit", () => supervisor.stop("SIGTERM"));
  onNpmShellEnd(() => supervisor.stop("SIGTERM"));
}

/** Tells whether this process belongs to a terminal that is open. */
function canOpenTerminal(): boolean {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false;
  }
}
