/** Takeovers between real processes, with clients that check every byte. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { RunningProgram } from "../../e2e/support/process.ts";
import { EchoClients } from "./echo-clients.ts";
import type { EchoOptions, EchoStory } from "./echo-story.ts";

const program = fileURLToPath(new URL("programs/echo.ts", import.meta.url));

const babbler = fileURLToPath(new URL("programs/babbler.ts", import.meta.url));

type StoryOf<Event extends EchoStory["event"]> = Extract<EchoStory, { readonly event: Event }>;

class EchoProcess {
  readonly program: RunningProgram;

  /** @param openFiles limit of open files */
  constructor(options: EchoOptions, openFiles = 1_000) {
    const command = ["-c", `ulimit -Sn ${openFiles} -Hn ${openFiles}; exec "$0" "$@"`, process.execPath, program];
    this.program = new RunningProgram("bash", [...command, JSON.stringify(options)]);
    onTestFinished(() => this.program.destroy());
  }

  async tells<Event extends EchoStory["event"]>(event: Event): Promise<StoryOf<Event>> {
    const [, story = ""] = await this.program.prints(new RegExp(`^(\\{"event":"${event}".*)\\n`, "m"));
    return JSON.parse(story);
  }

  /** How the process ended. */
  async end(): Promise<{ readonly code: number | null; readonly signal: string | null; readonly stderr: string }> {
    const { code, signal, stderr } = await this.program.exit;
    return { code, signal, stderr };
  }
}

/** True in `npm run takeovers`: the same steps with more failures. */
const all = process.env["TAKEOVERS"] === "all";
const SIGNALS = all ? (["SIGKILL", "SIGSTOP"] as const) : (["SIGKILL"] as const);

/** Short for a process that stands still only: on a busy machine, any other may be silent for a second. */
function patienceFor(how: string): { readonly patienceMs: number } {
  return { patienceMs: how === "SIGSTOP" ? 1_000 : 60_000 };
}

const CLIENTS = 60;
const SMALL = { groupSize: 20, batchSize: 8 };
const ONE_GROUP = { groupSize: 1_000, batchSize: 8 };
const CLEAN = { code: 0, signal: null, stderr: "" };

function takeoverPath(): string {
  const folder = mkdtempSync(join(tmpdir(), "takeover-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return join(folder, "socket");
}

/** A process with clients. */
async function serve(options: Omit<EchoOptions, "path"> = {}) {
  const path = takeoverPath();
  const old = new EchoProcess({ path, settings: SMALL, ...options });
  const { port } = await old.tells("listening");
  const clients = await EchoClients.open(port, CLIENTS);
  return { path, old, port, clients };
}

describe.skipIf(whyNoPassing() !== undefined)("a takeover", () => {
  it("moves all connections, one process after the other, without a wrong byte", async () => {
    const { path, old, port, clients } = await serve();
    let before = old;
    for (let version = 2; version <= 4; version++) {
      const next = new EchoProcess({ path, settings: SMALL, moves: version });
      expect(await next.tells("takenOver")).toMatchObject({ connections: CLIENTS, predecessorDied: false });
      expect(await before.tells("ended")).toMatchObject({ outcome: "handedOver", connections: CLIENTS });
      expect(await before.end()).toEqual(CLEAN);
      await clients.allAnswered();
      before = next;
    }
    expect(await faultsOfNewcomer(port)).toEqual([]);
    expect(await clients.faults()).toEqual([]);
  });

  describe("that the new process doesn't finish", () => {
    const failures = [
      { step: "adopt", how: "SIGSTOP" },
      { step: "adopt", how: "SIGKILL" },
      { step: "adopt", how: "throw" },
      { step: "listen", how: "SIGKILL" },
      { step: "listen", how: "throw" },
    ] as const;
    it.each(all ? failures : failures.slice(0, 1))(
      "because of $how in the step `$step` disturbs no connection",
      async ({ step, how }) => {
        const { path, old, port, clients } = await serve({ settings: { ...SMALL, ...patienceFor(how) } });
        const next = new EchoProcess({ path, failure: { step, how } });
        expect(await old.tells("ended")).toMatchObject({ outcome: "failed", connections: 0 });
        const end = { SIGKILL: "SIGKILL", SIGSTOP: "SIGKILL", throw: null }[how];
        expect(await next.end()).toMatchObject({ signal: end });
        expect(await faultsOfNewcomer(port)).toEqual([]);
        // Once more, with one that works.
        const last = new EchoProcess({ path });
        expect(await last.tells("takenOver")).toMatchObject({ connections: CLIENTS });
        expect(await clients.faults()).toEqual([]);
      },
    );

    it.runIf(all)("for lack of descriptors disturbs no connection", async () => {
      const { path, old, clients } = await serve();
      const next = new EchoProcess({ path, failure: { step: "adopt", how: "exhaust" } }, 300);
      expect(await old.tells("ended")).toMatchObject({ outcome: "failed", connections: 0 });
      expect(await next.tells("refused")).toMatchObject({ code: "ERR_OUT_OF_DESCRIPTORS" });
      expect(await clients.faults()).toEqual([]);
    });

    it.each(SIGNALS)("because of %s half way costs only the groups that were given", async (how) => {
      const { path, old, port, clients } = await serve({ settings: { ...SMALL, ...patienceFor(how) } });
      const next = new EchoProcess({ path, failure: { step: "adopt", after: SMALL.groupSize + 1, how } });
      expect(await old.tells("ended")).toMatchObject({ outcome: "failed", connections: SMALL.groupSize });
      expect(await next.end()).toMatchObject({ signal: "SIGKILL" });
      expect(await faultsOfNewcomer(port)).toEqual([]);
      expect(await clients.faults()).toHaveLength(SMALL.groupSize);
    });

    it.each(SIGNALS)("because of %s half way costs nothing if all are one group", async (how) => {
      const { path, old, clients } = await serve({ settings: { ...ONE_GROUP, ...patienceFor(how) } });
      new EchoProcess({ path, failure: { step: "adopt", after: CLIENTS - 10, how } });
      expect(await old.tells("ended")).toMatchObject({ outcome: "failed", connections: 0 });
      expect(await clients.faults()).toEqual([]);
    });

    it("because it speaks nonsense disturbs no connection, and ends it first", async () => {
      const { path, old, port, clients } = await serve();
      const next = new RunningProgram(process.execPath, [babbler, path]);
      onTestFinished(() => next.destroy());
      // The channel ends by an error of the old process, which says nothing about the end of the new one.
      expect(await old.tells("ended")).toMatchObject({ outcome: "failed", code: "ERR_TAKEOVER_LOST", connections: 0 });
      expect(isRunning(next.pid)).toBe(false);
      expect(await faultsOfNewcomer(port)).toEqual([]);
      expect(await clients.faults()).toEqual([]);
    });

    it.each(all ? (["start", "finish"] as const) : (["start"] as const))(
      "because of SIGSTOP in the step `%s` costs nothing: it has everything, and gets SIGCONT",
      async (step) => {
        const { path, old, port, clients } = await serve({ settings: { ...ONE_GROUP, patienceMs: 3_000 } });
        const next = new EchoProcess({ path, failure: { step, how: "SIGSTOP" } });
        await next.tells("failing");
        expect(await old.tells("ended")).toMatchObject({ outcome: "handedOver", connections: CLIENTS });
        expect(await next.tells("takenOver")).toMatchObject({ connections: CLIENTS, predecessorDied: false });
        expect(await faultsOfNewcomer(port)).toEqual([]);
        expect(await clients.faults()).toEqual([]);
      },
    );

    it.runIf(all)("because it is blocked once it has everything is told, and the process isn't killed", async () => {
      const { path, old } = await serve({ settings: { ...ONE_GROUP, patienceMs: 1_000 } });
      const next = new EchoProcess({ path, failure: { step: "start", how: "block" } });
      expect(await old.tells("ended")).toMatchObject({ outcome: "handedOver", isSilent: true });
      expect(isRunning(next.program.pid)).toBe(true);
    });

    it.runIf(all)("after it got everything leaves the old process listening", async () => {
      const { path, old, port } = await serve();
      new EchoProcess({ path, failure: { step: "finish", how: "SIGKILL" } });
      expect(await old.tells("ended")).toMatchObject({ outcome: "failed", code: "ERR_TAKEOVER_LOST" });
      expect(await faultsOfNewcomer(port)).toEqual([]);
    });
  });

  describe("that the old process doesn't finish", () => {
    it("because of SIGSTOP half way costs nothing: it gets SIGCONT", async () => {
      const { path, old, clients } = await serve({ failure: { step: "suspend", after: 30, how: "SIGSTOP" } });
      const next = new EchoProcess({ path, patienceMs: 3_000 });
      expect(await next.tells("takenOver")).toMatchObject({ connections: CLIENTS, predecessorDied: false });
      expect(await old.end()).toEqual(CLEAN);
      expect(await clients.faults()).toEqual([]);
    });

    it("because of SIGKILL half way keeps what was given", async () => {
      const { path, old, port, clients } = await serve({ failure: { step: "suspend", after: 30, how: "SIGKILL" } });
      const next = new EchoProcess({ path, ...patienceFor("SIGKILL") });
      const { connections, predecessorDied } = await next.tells("takenOver");
      expect(predecessorDied).toBe(true);
      // Two groups and, of the third, what had arrived: nobody had said "go" to that.
      expect(connections).toBeGreaterThan(SMALL.groupSize);
      expect(connections).toBeLessThan(CLIENTS);
      expect(await old.end()).toMatchObject({ signal: "SIGKILL" });
      expect(await faultsOfNewcomer(port)).toEqual([]);
      expect(await clients.faults()).toHaveLength(CLIENTS - connections);
    });

    it.runIf(all)("because it was killed before it stopped anything leaves its port to the new one", async () => {
      const { path, port } = await serve({ failure: { step: "stopAccepting", how: "SIGKILL" } });
      const next = new EchoProcess({ path });
      expect(await next.tells("takenOver")).toEqual({ event: "takenOver", connections: 0, predecessorDied: true });
      expect(await faultsOfNewcomer(port)).toEqual([]);
    });
  });

  it.runIf(all)("goes on when both processes were stopped for longer than their patience", async () => {
    const { path, old, clients } = await serve({ settings: { ...SMALL, patienceMs: 1_000 } });
    const next = new EchoProcess({ path, patienceMs: 1_000, failure: { step: "adopt", after: 30, how: "SIGSTOP" } });
    await next.tells("failing");
    old.program.kill("SIGSTOP");
    // The passing of time is what is tested.
    await delay(1_200);
    for (const one of [old, next]) one.program.kill("SIGCONT");
    expect(await next.tells("takenOver")).toMatchObject({ connections: CLIENTS, predecessorDied: false });
    expect(await old.end()).toEqual(CLEAN);
    expect(await clients.faults()).toEqual([]);
  });

  it("is refused while another is under way", async () => {
    const { path, old, clients } = await serve({ settings: { ...SMALL, patienceMs: 60_000 } });
    const first = new EchoProcess({ path, failure: { step: "adopt", how: "SIGSTOP" } });
    await first.tells("failing");
    const second = new EchoProcess({ path });
    const refused = { code: "ERR_TAKEOVER_REFUSED", message: "another process is taking over, or has taken over" };
    expect(await second.tells("refused")).toMatchObject(refused);
    first.program.kill("SIGCONT");
    expect(await first.tells("takenOver")).toMatchObject({ connections: CLIENTS });
    expect(await old.end()).toEqual(CLEAN);
    expect(await clients.faults()).toEqual([]);
  });

  it.each([
    { moves: 1, says: /moves = 2` in the old process and 1 in the new/ },
    { moves: null, says: /`static moves` in the old process and not in the new/ },
  ])("by an actor class with `moves` $moves is refused, and nothing is stopped", async ({ moves, says }) => {
    const { path, old, clients } = await serve({ moves: 2 });
    const next = new EchoProcess({ path, moves });
    expect(await next.tells("refused")).toMatchObject({
      code: "ERR_TAKEOVER_REFUSED",
      message: expect.stringMatching(says),
    });
    expect(await old.tells("ended")).toMatchObject({ outcome: "refused" });
    expect(await clients.faults()).toEqual([]);
  });

  it.runIf(all)("by a process with too few descriptors is refused, and nothing is stopped", async () => {
    const { path, old, clients } = await serve();
    const next = new EchoProcess({ path }, 100);
    expect(await next.tells("refused")).toMatchObject({ message: expect.stringMatching(/raise its limit/) });
    expect(await old.tells("ended")).toMatchObject({ outcome: "refused" });
    expect(await clients.faults()).toEqual([]);
  });
});

/** True unless the process has ended, also if nobody has asked for its end. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
  } catch {
    return false;
  }
}

/** The faults of a client that comes now. */
async function faultsOfNewcomer(port: number): Promise<string[]> {
  return (await EchoClients.open(port, 1)).faults();
}
