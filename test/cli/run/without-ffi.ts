/** A board without `node:ffi` under `switchboard run`, with clients under load, for the tests of replacements. */
import { chmodSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, vi } from "vitest";
import type { ServerOptions } from "../../e2e/takeover/programs/server.ts";
import { actorUrl } from "../../support/actor-url.ts";
import { CountedClient } from "../../support/counted-client.ts";
import { stateOf } from "../../support/process-state.ts";
import { childrenOf, newFolder, superviseIn } from "./supervise.ts";

/** A Node that really has no `node:ffi`, for the supervisor and the programs. Default: this Node, without by a flag. */
const OLD_NODE = process.env["NODE_WITHOUT_FFI"];
/** True to run all tests: see `npm run takeovers:handles`. */
export const all = OLD_NODE !== undefined;

const BOARD = fileURLToPath(new URL("programs/board.ts", import.meta.url));
export const CLIENTS = 20;

export const start = {
  actor: String(actorUrl("counting")),
  topics: { kept: { history: { size: 10 } } },
  shards: 2,
  pingIntervalMs: 0,
  warmUp: false,
};
export const options: ServerOptions = { start, program: { give: "ids", take: "ids" }, listen: [{}, "http"] };

/**
 * A Node by a name at which it may change: with or without `node:ffi`, or one whose supervisor speaks another version.
 */
export function nodes() {
  const folder = newFolder();
  const script = (name: string, line: string): string => {
    const path = join(folder, name);
    writeFileSync(path, `#!/bin/sh\n${line}\n`);
    chmodSync(path, 0o755);
    return path;
  };
  const without = OLD_NODE ?? `${process.execPath}" "--no-experimental-ffi`;
  const paths = {
    withFfi: process.execPath,
    withoutFfi: script("without-ffi", `exec "${without}" "$@"`),
    otherVersion: script("other", `SWITCHBOARD_SUPERVISOR=0:$PPID exec "${without}" "$@"`),
  };
  const current = join(folder, "node");
  const use = (name: keyof typeof paths): void => {
    symlinkSync(paths[name], `${current}.next`);
    renameSync(`${current}.next`, current);
  };
  use("withoutFfi");
  return { current, use };
}

export function supervise(...args: readonly string[]) {
  return superviseIn({ ...(OLD_NODE === undefined ? {} : { node: OLD_NODE }) }, ...args);
}

/** A board without `node:ffi` under a supervisor. */
export async function superviseBoard(first: ServerOptions = options) {
  const file = join(newFolder(), "options.json");
  /** Changes the options of the next process. */
  const change = (changes: Partial<ServerOptions>): void =>
    writeFileSync(file, JSON.stringify({ ...first, ...changes }));
  change({});
  const { current, use } = nodes();
  const supervisor = supervise("--node", current, BOARD, file);
  const [, port, httpPort] = await supervisor.prints(/"event":"listening","ports":\[(\d+)(?:,(\d+))?/);
  /** Publishes to the topic `kept`. Returns the position. */
  const publish = async (key: string): Promise<object> => {
    const response = await fetch(`http://127.0.0.1:${httpPort}/api/publish?topic=kept&key=${key}`);
    return ((await response.json()) as { readonly position: object }).position;
  };
  return { supervisor, change, use, publish, port: Number(port), httpPort: Number(httpPort) };
}

/** The same, with clients under load. */
export async function serve() {
  const { supervisor, change, use, publish, port, httpPort } = await superviseBoard();
  const sizeOf = (number: number): number => 20 + ((number * 7_919) % 5_000);
  const open = (): Promise<CountedClient> =>
    CountedClient.open({ port, window: 2, thinkMs: 20, sizeOf, pieceBytes: 900 });
  const clients = await Promise.all(Array.from({ length: CLIENTS }, open));
  onTestFinished(() => {
    for (const { socket } of clients) socket.destroy();
  });
  /** Resolves when each of these clients has got another answer, or has an error. */
  const answered = async (some: readonly CountedClient[] = clients): Promise<void> => {
    const before = some.map(({ answers }) => answers);
    const waits = (): boolean => some.some((one, at) => one.answers === before[at] && one.errors.length === 0);
    while (waits()) await new Promise(setImmediate);
  };
  /** Resolves with everything that went wrong, when each client has got another answer. */
  const faults = async (): Promise<string[]> => {
    await answered();
    return clients.flatMap(({ errors }) => errors);
  };
  await answered();
  /**
   * Starts a process that stops itself (SIGSTOP) when connections have arrived. Resolves with the ids of old and new.
   */
  const replaceByStopped = async (): Promise<readonly [old: number, next: number]> => {
    const [old = 0] = childrenOf(supervisor.pid);
    change({ fails: "states", failsBy: "SIGSTOP" });
    supervisor.kill("SIGHUP");
    await supervisor.prints(/"event":"failing"/);
    const next = childrenOf(supervisor.pid).at(-1) ?? 0;
    await vi.waitFor(() => expect(stateOf(next)).toBe("T"));
    change({});
    return [old, next];
  };
  return { supervisor, change, use, port, httpPort, clients, answered, faults, publish, replaceByStopped };
}
