/**
 * Replacements in a Node without `node:ffi`: connections go through the supervisor, as handles. `npm run takeovers:handles`
 * runs all of them with an older Node, and a few more.
 */
import { once } from "node:events";
import { chmodSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import type { ServerOptions } from "../../e2e/takeover/programs/server.ts";
import { actorUrl } from "../../support/actor-url.ts";
import { CountedClient } from "../../support/counted-client.ts";
import { stateOf } from "../../support/process-state.ts";
import { childrenOf, ended, newFolder, script, superviseIn, times } from "./supervise.ts";

/** A Node that really has no `node:ffi`, for the supervisor and the programs. Default: this Node, without by a flag. */
const OLD_NODE = process.env["NODE_WITHOUT_FFI"];
const all = OLD_NODE !== undefined;

const BOARD = fileURLToPath(new URL("programs/board.ts", import.meta.url));
const REFUSED = fileURLToPath(new URL("programs/refused.ts", import.meta.url));
const CLIENTS = 20;
const INDEX = new URL("../../../src/index.ts", import.meta.url).href;

const start = { actor: String(actorUrl("counting")), shards: 2, pingIntervalMs: 0, warmUp: false };
const options: ServerOptions = { start, listen: [{}, "http"] };

/** A Node by a name at which it may change: with or without `node:ffi`, or one whose supervisor speaks another version. */
function nodes() {
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

function supervise(...args: readonly string[]) {
  return superviseIn({ ...(OLD_NODE === undefined ? {} : { node: OLD_NODE }) }, ...args);
}

/** A board without `node:ffi` under a supervisor, with clients under load. The options apply to the next process. */
async function serve() {
  const file = join(newFolder(), "options.json");
  const change = (changes: Partial<ServerOptions>): void =>
    writeFileSync(file, JSON.stringify({ ...options, ...changes }));
  change({});
  const { current, use } = nodes();
  const supervisor = supervise("--node", current, BOARD, file);
  const [, port] = await supervisor.prints(/"event":"listening","ports":\[(\d+)/);
  const sizeOf = (number: number): number => 20 + ((number * 7_919) % 5_000);
  const open = (): Promise<CountedClient> =>
    CountedClient.open({ port: Number(port), window: 2, thinkMs: 20, sizeOf, pieceBytes: 900 });
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
  /** Starts a process that stops itself (SIGSTOP) when connections have arrived. Resolves with the ids of old and new. */
  const replaceByStopped = async (): Promise<readonly [old: number, next: number]> => {
    const [old = 0] = childrenOf(supervisor.pid);
    change({ fails: "suspend", failsBy: "SIGSTOP" });
    supervisor.kill("SIGHUP");
    await supervisor.prints(/"event":"failing"/);
    const next = childrenOf(supervisor.pid).at(-1) ?? 0;
    await vi.waitFor(() => expect(stateOf(next)).toBe("T"));
    change({});
    return [old, next];
  };
  return { supervisor, change, use, clients, answered, faults, replaceByStopped };
}

// The same Node has `node:ffi` in chains of both.
describe.skipIf(whyNoPassing() !== undefined)("a replacement without node:ffi", () => {
  it("moves every connection, also to a Node with node:ffi and back", async () => {
    const { supervisor, use, faults } = await serve();
    await supervisor.logs(/pid \d+ has no node:ffi: this process passes its connections on/);
    const chain = ["withoutFfi", "withFfi", ...(all ? (["withFfi"] as const) : []), "withoutFfi"] as const;
    for (const [replaced, node] of chain.entries()) {
      use(node);
      supervisor.kill("SIGHUP");
      await supervisor.logs(times(replaced + 1, "took over from pid .*"));
      expect(await faults()).toEqual([]);
      await supervisor.prints(times(replaced + 1, `"event":"handedOver",.*"connections":${CLIENTS}`));
    }
    supervisor.kill("SIGTERM");
    expect((await ended(supervisor)).stderr.match(/has no node:ffi/g)).toHaveLength(3);
  });

  it("by a process that is refused, or killed half way, disturbs nobody, and the next one works", async () => {
    const { supervisor, change, use, faults } = await serve();
    const goesOn = async (failures: number): Promise<void> => {
      supervisor.kill("SIGHUP");
      await supervisor.logs(times(failures, "before it took over: pid \\d+ goes on"));
      expect(await faults()).toEqual([]);
    };
    change({ fails: "suspend" });
    await goesOn(1);
    await supervisor.logs(/was ended by SIGKILL before it took over/);
    await supervisor.logs(/pid \d+ has lost no connection\n/);
    change({ start: { ...start, actor: String(actorUrl("echo")) } });
    await goesOn(2);
    await supervisor.prints(/"event":"refused","code":"ERR_TAKEOVER_REFUSED",.*`static moves`/);
    change({});
    use("otherVersion");
    await goesOn(3);
    await supervisor.prints(/"event":"refused","code":"ERR_NO_FFI"/);
    use("withoutFfi");
    supervisor.kill("SIGHUP");
    await supervisor.logs(/took over from pid/);
    expect(await faults()).toEqual([]);
  });

  it("by a process that is killed when it has everything says how many connections are lost", async () => {
    const { supervisor, change, clients } = await serve();
    const actor = script(
      `import { Actor } from "${INDEX}"; export default class extends Actor { static moves = 99; suspended() {} resumed() { process.kill(process.pid, "SIGKILL"); } }`,
    );
    change({ start: { ...start, actor: pathToFileURL(actor).href } });
    supervisor.kill("SIGHUP");
    await supervisor.logs(
      new RegExp(`pid \\d+ has lost ${CLIENTS} connections, which the other process had taken over`),
    );
    await Promise.all(clients.map(({ socket }) => socket.closed || once(socket, "close")));
  });

  it("by a process that stands still is called off, and the replacement that was asked for meanwhile works", async () => {
    const { supervisor, faults, replaceByStopped } = await serve();
    const [old, next] = await replaceByStopped();
    supervisor.kill("SIGHUP");
    await supervisor.logs(/the next replacement waits/);
    await supervisor.prints(/"event":"successorFailed".*"code":"ERR_TAKEOVER_(TIMEOUT|LOST)"/);
    await supervisor.logs(new RegExp(`pid ${next} was ended by SIGKILL before it took over: pid ${old} goes on`));
    await supervisor.logs(new RegExp(`took over from pid ${old}`));
    expect(await faults()).toEqual([]);
  });

  it.runIf(all)("goes on when both processes stand still for a while", async () => {
    const { supervisor, faults, replaceByStopped } = await serve();
    const [old, next] = await replaceByStopped();
    process.kill(old, "SIGSTOP");
    await vi.waitFor(() => expect(stateOf(old)).toBe("T"));
    await new Promise((resolve) => setTimeout(resolve, 7_000));
    process.kill(next, "SIGCONT");
    process.kill(old, "SIGCONT");
    expect(await faults()).toEqual([]);
    await supervisor.prints(/"event":"(successorFailed|handedOver)"/);
  });

  it("goes on in the new process with what has arrived when the old one is killed half way", async () => {
    const { supervisor, clients, answered, replaceByStopped } = await serve();
    const [old, next] = await replaceByStopped();
    process.kill(old, "SIGKILL");
    process.kill(next, "SIGCONT");
    const [, count] = await supervisor.prints(/"event":"takenOver",.*"connections":(\d+),"predecessorDied":true/);
    await supervisor.logs(new RegExp(`pid ${next} took over from pid ${old}`));
    const lives = (): CountedClient[] => clients.filter(({ errors }) => errors.length === 0);
    await vi.waitFor(() => expect(lives()).toHaveLength(Number(count)));
    await answered(lives());
    expect(lives()).toHaveLength(Number(count));
  });

  it("never leaves two owners when the supervisor is killed half way: everybody goes on in the old process", async () => {
    const { supervisor, faults, replaceByStopped } = await serve();
    const [old, next] = await replaceByStopped();
    onTestFinished(() => void process.kill(old, "SIGKILL"));
    supervisor.kill("SIGKILL");
    await supervisor.prints(/"event":"successorFailed".*"code":"ERR_TAKEOVER_LOST"/);
    expect(stateOf(next)).toBe("Z");
    expect(await faults()).toEqual([]);
  });

  it("can't pass on what shards accept, nor a Unix socket, and says so in `listen`", async () => {
    const supervisor = supervise("--node", nodes().current, REFUSED, String(actorUrl("counting")));
    const { code, stdout } = await ended(supervisor);
    expect(JSON.parse(stdout)).toEqual([
      `ERR_NO_FFI: accept: "shard" and takeover go together only with node:ffi (Node 26.9): listen without accept: "shard"`,
      "ERR_NO_FFI: a Unix socket can be taken over only with node:ffi (Node 26.9): listen on a port",
    ]);
    expect(code).toBe(0);
  });
});
