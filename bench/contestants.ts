import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { createRequire } from "node:module";
import os from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const require = createRequire(import.meta.url);

/** What a scenario asks of a server, and not every one can do. */
export type Ability = "fanout" | "storm" | "long" | "text" | "compress" | "tls" | "idle";

/** How to start a server, and its version unless that goes without saying; or what is missing, as a sentence that says how to get it. */
export type Found =
  | { readonly kind: "found"; readonly command: readonly string[]; readonly version: string | undefined }
  | { readonly kind: "missing"; readonly reason: string };

/** A server under test: a program that takes the options of `peers/options.ts`. All echo. */
export interface Contestant {
  readonly id: string;
  readonly title: string;
  readonly abilities: readonly Ability[];
  /** Not a server that one would use: runs where a scenario asks for controls. */
  readonly control: boolean;
  /** That serve connections. */
  readonly threads: number;
  /** Messages that it sends first. */
  readonly greeting: number;
  /** Path to connect to. */
  readonly path: string;
  find(): Promise<Found>;
}

const EVERYTHING: readonly Ability[] = ["fanout", "storm", "long", "text", "compress", "tls", "idle"];
const SERVER = { abilities: EVERYTHING, control: false, threads: 1, greeting: 0, path: "/" };
const CONTROL = { abilities: ["storm" as const], control: true, threads: 1, greeting: 0, path: "/" };

export const CONTESTANTS: readonly Contestant[] = [
  {
    ...SERVER,
    id: "switchboard",
    title: "Switchboard",
    find: async () => script("targets/switchboard.ts", packageVersion("../package.json"), "--shards", "1"),
  },
  {
    ...SERVER,
    id: "switchboard-2",
    threads: 2,
    title: "Switchboard, 2 shards",
    find: async () => script("targets/switchboard.ts", undefined, "--shards", "2"),
  },
  { ...SERVER, id: "ws", title: "ws", find: async () => nodePeer("ws", "peers/ws.ts") },
  { ...SERVER, id: "bun", title: "Bun.serve", find: findBun },
  {
    ...SERVER,
    id: "uwebsockets",
    title: "uWebSockets.js",
    find: findUwebsockets,
  },
  {
    ...CONTROL,
    id: "engine.io",
    title: "engine.io",
    abilities: [],
    greeting: 1,
    path: "/engine.io/?EIO=4&transport=websocket",
    find: async () => nodePeer("engine.io", "peers/engine-io.ts"),
  },
  {
    ...CONTROL,
    id: "node-net",
    title: "plain node:net",
    find: async () => script("peers/node-net.ts", undefined),
  },
  { ...CONTROL, id: "epoll", title: "plain epoll, C", find: compileEpoll },
];

/** A server that is none of ours to know, or one of the above that is started in another way: `name=command with arguments`. */
export function strangerOf(text: string): Contestant {
  const [, id = "", command = ""] = /^([^=\s]+)=(.+)$/.exec(text) ?? [];
  if (id === "") throw new RangeError(`--peer takes name=command, got ${text}`);
  const known = CONTESTANTS.find((contestant) => contestant.id === id) ?? { ...SERVER, id, title: id };
  return { ...known, find: async () => ({ kind: "found", command: command.split(/\s+/), version: undefined }) };
}

function script(path: string, version: string | undefined, ...args: readonly string[]): Found {
  return { kind: "found", command: [process.execPath, join(import.meta.dirname, path), ...args], version };
}

function packageVersion(path: string): string {
  return JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8")).version;
}

function nodePeer(name: string, path: string, install = `npm install --no-save ${name}`): Found {
  const directory = packageDirectory(name);
  if (directory === undefined) return { kind: "missing", reason: `${name} isn't installed: ${install}` };
  return script(path, JSON.parse(readFileSync(join(directory, "package.json"), "utf8")).version);
}

/** Where a package is. Looked for by hand: not every package lets its package.json be resolved. */
function packageDirectory(name: string): string | undefined {
  return require.resolve
    .paths(name)
    ?.map((directory) => join(directory, name))
    .find((directory) => existsSync(join(directory, "package.json")));
}

/** It has a native part for each version of Node, and not always for the newest. */
async function findUwebsockets(): Promise<Found> {
  const peer = "peers/uwebsockets.ts";
  const found = nodePeer("uWebSockets.js", peer, "npm install --no-save uNetworking/uWebSockets.js#v20.x");
  if (found.kind === "missing") return found;
  try {
    await run(process.execPath, ["-e", "require('uWebSockets.js')"], { cwd: import.meta.dirname });
    return found;
  } catch {
    const reason = `uWebSockets.js doesn't load in Node ${process.versions.node}: --peer uwebsockets="OTHER_NODE bench/${peer}"`;
    return { kind: "missing", reason };
  }
}

async function findBun(): Promise<Found> {
  const directory = packageDirectory("bun");
  const candidates = [...(directory === undefined ? [] : [join(directory, "bin", "bun.exe")]), "bun"];
  for (const bun of candidates) {
    try {
      const { stdout } = await run(bun, ["--version"]);
      const peer = join(import.meta.dirname, "peers/bun.ts");
      return { kind: "found", command: [bun, peer], version: stdout.trim() };
    } catch {
      // The next one.
    }
  }
  return { kind: "missing", reason: "Bun isn't installed: npm install --no-save bun" };
}

async function compileEpoll(): Promise<Found> {
  if (process.platform !== "linux") return { kind: "missing", reason: "epoll is Linux's" };
  const program = join(await mkdtemp(join(os.tmpdir(), "switchboard-bench-")), "epoll");
  try {
    await run("cc", ["-O2", "-o", program, join(import.meta.dirname, "peers/epoll.c")]);
    const { stdout } = await run("cc", ["-dumpfullversion", "-dumpversion"]);
    return { kind: "found", command: [program], version: `cc ${stdout.trim()}` };
  } catch {
    return { kind: "missing", reason: "there is no C compiler: apt-get install gcc libc6-dev" };
  }
}
