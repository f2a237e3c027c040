/** What the supervisor decides by what two processes say, with real processes that say anything. */
import { once } from "node:events";
import { existsSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import type { ServiceManager } from "../../../src/cli/run/service-manager.ts";
import { Supervisor } from "../../../src/cli/run/supervisor.ts";
import type { SupervisorMessage } from "../../../src/wire/passing/supervisor-messages.ts";
import { stateOf } from "../../support/process-state.ts";
import { newFolder, script } from "./supervise.ts";

/** Says to the supervisor what the test tells it, and ends when the test wants. */
const PUPPET = `
import { connect } from "node:net";
import { createInterface } from "node:readline";
const socket = connect(Number(process.argv[2]), "127.0.0.1", () => socket.write(process.pid + "\\n"));
createInterface(socket).on("line", (line) => {
  const { say, exit } = JSON.parse(line);
  if (exit !== undefined) process.exit(exit);
  process.send(say, () => socket.write("said\\n"));
});
process.on("SIGTERM", () => process.exit());
`;
/** Time to get ready in which a test does what it has to do first, on a busy machine too, and one that never passes. */
const SHORT_MS = 6_000;
const LONG_MS = 60_000;
const AWAITS: SupervisorMessage = { switchboard: "awaits", holdsByNumber: true };

class Puppet {
  readonly pid: number;
  readonly #socket: Socket;

  constructor(socket: Socket, pid: number) {
    this.#socket = socket;
    this.pid = pid;
  }

  /** Resolves when the process has said it. */
  async says(message: SupervisorMessage): Promise<void> {
    const said = once(this.#socket, "data");
    this.#socket.write(`${JSON.stringify({ say: message })}\n`);
    await said;
  }

  exits(code: number): void {
    this.#socket.write(`${JSON.stringify({ exit: code })}\n`);
  }

  /**
   * Resolves when the supervisor knows that the process has ended. A process whose threads are still ending looks like a
   * zombie before its parent is told, so the end of another process could overtake its own.
   */
  async isReaped(): Promise<void> {
    await vi.waitFor(() => expect(existsSync(`/proc/${this.pid}`)).toBe(false));
  }

  async signal(signal: NodeJS.Signals): Promise<void> {
    process.kill(this.pid, signal);
    if (signal === "SIGSTOP") await vi.waitFor(() => expect(stateOf(this.pid)).toBe("T"));
  }
}

/** A supervisor with one process, which hasn't said anything. */
async function start(restart: boolean, readyTimeoutMs = LONG_MS) {
  const server: Server = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const started = async (): Promise<Puppet> => {
    const [socket]: Socket[] = await once(server, "connection");
    if (socket === undefined) throw new Error("no connection");
    const [pid] = await once(socket, "data");
    return new Puppet(socket, Number(String(pid)));
  };
  const lines: string[] = [];
  const served = vi.fn();
  const manager: ServiceManager = { ready: served, reloading() {}, stopping() {}, told: async () => {} };
  const settings = {
    node: process.execPath,
    args: [script(PUPPET), String((server.address() as AddressInfo).port)],
    cwd: newFolder(),
    takeover: join(newFolder(), "never-bound"),
    readyTimeoutMs,
    stopTimeoutMs: 10_000,
    restart,
  };
  const first = started();
  const supervisor = new Supervisor(settings, manager, (line) => lines.push(line));
  onTestFinished(async () => {
    supervisor.stop("SIGKILL");
    await supervisor.ended;
  });
  const old = await first;
  /** Resolves with the process that is to replace the current one. */
  const replacement = async (): Promise<Puppet> => {
    const next = started();
    supervisor.replace();
    return next;
  };
  /** Resolves when the supervisor has said this. */
  const says = (line: string): Promise<void> =>
    vi.waitFor(() => expect(lines).toContainEqual(expect.stringContaining(line)), 20_000);
  return { supervisor, old, replacement, served, lines, says, started };
}

/** A supervisor whose current process is about to be replaced by another one. */
async function replace(readyTimeoutMs?: number) {
  const { old, replacement, served, ...rest } = await start(false, readyTimeoutMs);
  await old.says(AWAITS);
  await vi.waitFor(() => expect(served).toHaveBeenCalledOnce());
  return { ...rest, old, replacement, next: await replacement() };
}

it("replaces a process whose board started later than the time for that", async () => {
  const { supervisor, old, replacement, lines, says } = await start(false, SHORT_MS);
  const line = `pid ${old.pid} can't be replaced: it has started no board with takeover: true, or its Node can't pass sockets on`;
  await says(line);
  supervisor.replace();
  await vi.waitFor(() => expect(lines).toEqual([line, line]));
  await old.says(AWAITS);
  const next = await replacement();
  await next.says(AWAITS);
  await says(`pid ${next.pid} took over from pid ${old.pid}`);
});

it("doesn't kill a process that may have connections, and lets it go on if it is stopped", async () => {
  const { old, next, replacement, lines, says } = await replace(SHORT_MS);
  await old.says({ switchboard: "gives", pid: next.pid });
  for (const one of [old, next]) await one.signal("SIGSTOP");
  for (const { pid } of [old, next]) await says(`pid ${pid} is stopped: it gets SIGCONT`);
  expect(lines).toContain(
    `pid ${next.pid} isn't ready after 6.0 s and may have the connections of pid ${old.pid} already, so it isn't killed`,
  );
  await next.says(AWAITS);
  await says(`pid ${next.pid} took over from pid ${old.pid}`);
  expect(lines).toHaveLength(5);
  // That it was late isn't held against it.
  expect((await replacement()).pid).not.toBe(next.pid);
});

it("kills a process that isn't ready once the old one has said that it has everything back", async () => {
  const { old, next, lines, says } = await replace(SHORT_MS);
  await old.says({ switchboard: "gives", pid: next.pid });
  await says("so it isn't killed");
  await old.says({ switchboard: "goesOn", lost: 0 });
  await says(`pid ${next.pid} wasn't ready within 6.0 s before it took over: pid ${old.pid} goes on`);
  expect(lines).toContain(`pid ${old.pid} has lost no connection`);
});

it("kills a process that isn't ready, and that nobody has given anything", async () => {
  const { old, next, says } = await replace(SHORT_MS);
  await old.signal("SIGSTOP");
  await says(
    `pid ${next.pid} wasn't ready within 6.0 s before it took over: pid ${old.pid} goes on (it is stopped: SIGCONT lets it go on)`,
  );
});

it("doesn't say that a process ended before it took over when connections ended with it", async () => {
  const { old, next, lines, says } = await replace();
  await old.says({ switchboard: "gives", pid: next.pid });
  await next.signal("SIGKILL");
  await old.says({ switchboard: "goesOn", lost: 3 });
  await says(`pid ${next.pid} was ended by SIGKILL: pid ${old.pid} goes on`);
  expect(lines.slice(1, -1)).toEqual([
    `pid ${old.pid} has lost 3 connections, which the other process had taken over before it ended`,
  ]);
});

it("lets a new process start for as long as it takes when the old one has ended", async () => {
  const { old, next, lines, says } = await replace(SHORT_MS);
  await old.signal("SIGKILL");
  await says(`pid ${next.pid} isn't ready after 6.0 s and pid ${old.pid} has ended, so it isn't killed`);
  await next.says({ switchboard: "has", connections: 0, isComplete: false });
  await next.says(AWAITS);
  await says(`pid ${old.pid} was ended by SIGKILL, with its connections: pid ${next.pid} goes on without them`);
  expect(lines).toHaveLength(3);
});

it("says that both have ended when the new process ends after the old one, which had given nothing", async () => {
  const { supervisor, old, next, lines } = await replace();
  await old.signal("SIGKILL");
  await old.isReaped();
  next.exits(7);
  expect(await supervisor.ended).toBe(7);
  expect(lines.slice(1)).toEqual([
    `pid ${old.pid} was ended by SIGKILL while pid ${next.pid} took over`,
    `pid ${next.pid} ended with code 7`,
  ]);
});

it("goes by the end of the new process when the old one has ended after it began to give", async () => {
  const { supervisor, old, next, lines } = await replace();
  await old.says({ switchboard: "gives", pid: next.pid });
  old.exits(0);
  await old.isReaped();
  next.exits(7);
  expect(await supervisor.ended).toBe(7);
  expect(lines.slice(1)).toEqual([
    `pid ${old.pid} ended with code 0 while pid ${next.pid} took over`,
    `pid ${next.pid} ended with code 7`,
  ]);
});

it("says that an old process that fails had given everything, as the new one tells", async () => {
  const { old, next, says } = await replace();
  await old.says({ switchboard: "gives", pid: next.pid });
  await next.says(AWAITS);
  await next.says({ switchboard: "has", connections: 5, isComplete: true });
  await says(`pid ${next.pid} took over`);
  old.exits(3);
  await says(`pid ${old.pid} ended with code 3, after pid ${next.pid} had taken over everything that can move`);
});

it.each([
  [0, (next: number) => `, with its connections: pid ${next} goes on without them`],
  [1, wasCut("1 connection goes on there")],
  [5, wasCut("5 connections go on there")],
])(
  "says in one line what goes on when the old process ended before it had given everything (%i)",
  async (connections, what) => {
    const { old, next, lines, says } = await replace();
    old.exits(3);
    await old.isReaped();
    await next.says({ switchboard: "has", connections, isComplete: false });
    await next.says(AWAITS);
    const line = `pid ${old.pid} ended with code 3${what(next.pid)}`;
    await says(line);
    expect(lines.slice(1)).toEqual([line]);
  },
);

/** Says that some connections go on. Nobody knows whether there were more. */
function wasCut(what: string) {
  return (next: number): string =>
    ` before it said that pid ${next} has all connections: ${what}, and others, if there were any, are lost`;
}

it("doesn't say that the new process took over when it found no board of the old one, which still runs", async () => {
  const { old, next, lines, says } = await replace();
  await next.says({ switchboard: "has", connections: 0, isComplete: false });
  await next.says(AWAITS);
  const line = `pid ${next.pid} found no board of pid ${old.pid}, and goes on without its connections`;
  await says(line);
  expect(lines.slice(1)).toEqual([line]);
});
