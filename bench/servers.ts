/** The servers that the suite can measure, and how to start each. Used by the planner, the runner and the reports. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { createRequire } from "node:module";
import os from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { ServerProcess } from "./server-process.ts";
import { UsageError } from "./usage-error.ts";

const run = promisify(execFile);
const require = createRequire(import.meta.url);

/** A feature that a scenario needs and that not every server has. */
export type Ability = "fanout" | "storm" | "long" | "text" | "compress" | "tls" | "idle";

/**
 * The search result for a server: the command that starts the server, with the version where the id alone doesn't tell;
 * or the reason why the server can't run here, which says what to install.
 */
export type Found =
  | { readonly kind: "found"; readonly command: readonly string[]; readonly version: string | undefined }
  | { readonly kind: "missing"; readonly reason: string };

/** A server under test: a program that takes the options of `servers/options.ts`. Every server can echo. */
export interface TestedServer {
  readonly id: string;
  readonly title: string;
  readonly abilities: readonly Ability[];
  /** True for a server that can only echo. Such a server takes part where `Scenario.echoOnlyServers` says so. */
  readonly echoOnly: boolean;
  /** Number of threads that serve connections. */
  readonly threads: number;
  /** Number of messages that the server sends first on each connection. */
  readonly greeting: number;
  /** URL path that the load connects to. */
  readonly path: string;
  /** Looks for the server on this machine. Never rejects. */
  find(): Promise<Found>;
}

const EVERYTHING: readonly Ability[] = ["fanout", "storm", "long", "text", "compress", "tls", "idle"];
const SERVER = { abilities: EVERYTHING, echoOnly: false, threads: 1, greeting: 0, path: "/" };
/** What the servers can do that check nothing. */
const UNCHECKED: readonly Ability[] = ["storm", "fanout", "long"];
const ECHO_ONLY = { abilities: ["storm" as const], echoOnly: true, threads: 1, greeting: 0, path: "/" };
/** Id of the server that `Scenario.reference` names, and of the same server over io_uring. */
export const OURS = "switchboard";
export const OURS_OVER_URING = "switchboard-uring";
/** Id of the server that does the least that a server can. */
export const FLOOR = "epoll";
/** Id of the server with nothing above our transport of io_uring. */
export const URING_FLOOR = "plain-uring";

export const SERVERS: readonly TestedServer[] = [
  {
    ...SERVER,
    id: OURS,
    title: "Switchboard",
    find: async () => script("targets/switchboard.ts", packageVersion("../package.json"), "--shards", "1"),
  },
  {
    ...SERVER,
    id: OURS_OVER_URING,
    title: "Switchboard, io_uring",
    find: async () => startedOnce(script("targets/switchboard.ts", undefined, "--shards", "1", "--sockets", "uring")),
  },
  {
    ...SERVER,
    id: "switchboard-2",
    threads: 2,
    title: "Switchboard, 2 shards",
    find: async () => script("targets/switchboard.ts", undefined, "--shards", "2"),
  },
  { ...SERVER, id: "ws", title: "ws", find: async () => nodeServer("ws", "servers/ws.ts") },
  { ...SERVER, id: "bun", title: "Bun.serve", find: findBun },
  {
    ...SERVER,
    id: "uwebsockets",
    title: "uWebSockets.js",
    find: findUwebsockets,
  },
  {
    ...ECHO_ONLY,
    id: "engine.io",
    title: "engine.io",
    abilities: [],
    greeting: 1,
    path: "/engine.io/?EIO=4&transport=websocket",
    find: async () => nodeServer("engine.io", "servers/engine-io.ts"),
  },
  {
    ...ECHO_ONLY,
    id: "node-net",
    title: "plain node:net",
    find: async () => script("servers/node-net.ts", undefined),
  },
  {
    ...ECHO_ONLY,
    id: FLOOR,
    title: "plain epoll, C",
    abilities: [...UNCHECKED, "idle"],
    find: compileEpoll,
  },
  {
    ...ECHO_ONLY,
    id: URING_FLOOR,
    title: "plain io_uring",
    abilities: UNCHECKED,
    find: async () => startedOnce(script("servers/uring.ts", undefined)),
  },
];

/**
 * Parses `NAME=COMMAND`, the value of `--custom-server`. A NAME of `SERVERS` keeps the title and the abilities of that
 * server and changes its command. Any other NAME adds a server with all abilities. Throws a `UsageError` for other
 * text.
 */
export function customServer(text: string): TestedServer {
  const [, id = "", command = ""] = /^([^=\s]+)=(.+)$/.exec(text) ?? [];
  if (id === "") throw new UsageError(`--custom-server takes NAME=COMMAND, got ${text}`);
  const known = SERVERS.find((server) => server.id === id) ?? { ...SERVER, id, title: id };
  return { ...known, find: async () => ({ kind: "found", command: command.split(/\s+/), version: undefined }) };
}

function script(path: string, version: string | undefined, ...args: readonly string[]): Found {
  return { kind: "found", command: [process.execPath, join(import.meta.dirname, path), ...args], version };
}

function packageVersion(path: string): string {
  return JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8")).version;
}

function nodeServer(name: string, path: string, install = `npm install --no-save ${name}`): Found {
  const directory = packageDirectory(name);
  if (directory === undefined) return { kind: "missing", reason: `${name} isn't installed: ${install}` };
  return script(path, JSON.parse(readFileSync(join(directory, "package.json"), "utf8")).version);
}

/** Finds the folder of a package. `require.resolve` can't: some packages don't export their package.json. */
function packageDirectory(name: string): string | undefined {
  return require.resolve
    .paths(name)
    ?.map((directory) => join(directory, name))
    .find((directory) => existsSync(join(directory, "package.json")));
}

/** Starts a server over io_uring once: the kernel, Node or a sandbox may refuse. */
async function startedOnce(found: Found): Promise<Found> {
  if (found.kind === "missing") return found;
  try {
    const server = await ServerProcess.start([...found.command, "--port", "0"], undefined);
    await server.stop();
    return found;
  } catch (error) {
    const [reason = String(error)] = /sockets: "uring" can't work here.*/.exec(String(error)) ?? [];
    return { kind: "missing", reason };
  }
}

/**
 * Looks for a Node in which uWebSockets.js loads: this one, or another `node` of the PATH. Its native part is built for
 * each version of Node, and often not for the newest, nor for an older libc.
 */
async function findUwebsockets(): Promise<Found> {
  const program = "servers/uwebsockets.ts";
  const found = nodeServer("uWebSockets.js", program, "npm install --no-save uNetworking/uWebSockets.js#v20.x");
  if (found.kind === "missing") return found;
  for (const node of [process.execPath, ...nodesOfPath()]) {
    try {
      await run(node, ["-e", "require('uWebSockets.js')"], { cwd: import.meta.dirname });
      if (node === process.execPath) return found;
      const { stdout } = await run(node, ["--version"]);
      const version = `${found.version} in Node ${stdout.trim().slice(1)}`;
      // An old Node reads no TypeScript by itself.
      return { kind: "found", command: [node, "--import", "tsx", join(import.meta.dirname, program)], version };
    } catch {
      // Doesn't load in this Node: try the next.
    }
  }
  const reason = `uWebSockets.js doesn't load in Node ${process.versions.node}: --custom-server uwebsockets="OTHER_NODE bench/${program}"`;
  return { kind: "missing", reason };
}

function nodesOfPath(): string[] {
  const directories = (process.env["PATH"] ?? "").split(":");
  return directories.map((directory) => join(directory, "node")).filter((path) => existsSync(path));
}

async function findBun(): Promise<Found> {
  const directory = packageDirectory("bun");
  const candidates = [...(directory === undefined ? [] : [join(directory, "bin", "bun.exe")]), "bun"];
  for (const bun of candidates) {
    try {
      const { stdout } = await run(bun, ["--version"]);
      const program = join(import.meta.dirname, "servers/bun.ts");
      return { kind: "found", command: [bun, program], version: stdout.trim() };
    } catch {
      // Not at this place: try the next candidate.
    }
  }
  return { kind: "missing", reason: "Bun isn't installed: npm install --no-save bun" };
}

async function compileEpoll(): Promise<Found> {
  if (process.platform !== "linux") return { kind: "missing", reason: "epoll exists only on Linux" };
  const program = join(await mkdtemp(join(os.tmpdir(), "switchboard-bench-")), "epoll");
  try {
    await run("cc", ["-O2", "-o", program, join(import.meta.dirname, "servers/epoll.c")]);
    const { stdout } = await run("cc", ["-dumpfullversion", "-dumpversion"]);
    return { kind: "found", command: [program], version: `cc ${stdout.trim()}` };
  } catch {
    return { kind: "missing", reason: "there is no C compiler: apt-get install gcc libc6-dev" };
  }
}
