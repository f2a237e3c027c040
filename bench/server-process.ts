import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";

const LISTEN_TIMEOUT_MS = 20_000;
const END_TIMEOUT_MS = 3_000;
/** Memory counts as settled when it grew less than this part in an interval. */
const SETTLED = 0.002;
const SETTLE_INTERVAL_MS = 200;
const SETTLE_INTERVALS = 5;
/** Of the times in /proc/PID/stat. */
const TICKS_PER_SECOND = 100;

export type Child = ChildProcessByStdio<null, Readable, Readable>;

/**
 * Starts a program on some cores; on all where `taskset` isn't there.
 *
 * @param cold Node finds no code there that was compiled before
 */
export function spawnOn(cores: readonly number[] | undefined, command: readonly string[], cold = false): Child {
  const pinned = cores === undefined || !HAS_TASKSET ? command : ["taskset", "-c", cores.join(","), ...command];
  const [program = "", ...args] = pinned;
  const env = cold
    ? { ...process.env, NODE_DISABLE_COMPILE_CACHE: "1" }
    : { NODE_COMPILE_CACHE: COMPILE_CACHE, ...process.env };
  return spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env });
}

/** What Node has compiled once: half a second less for each run, of which the suite has a hundred. */
const COMPILE_CACHE = join(os.tmpdir(), "switchboard-bench-compile-cache");

/** Whether programs can be given a core. */
export const HAS_TASKSET = ["/usr/bin/taskset", "/bin/taskset"].some((path) => existsSync(path));

/** A server under test, in a process of its own. */
export class ServerProcess {
  readonly port: number;
  readonly #child: Child;

  /** Rejects when the server ends, or says nothing for too long, before it listens; with what it wrote. */
  static async start(
    command: readonly string[],
    cores: readonly number[] | undefined,
    cold = false,
  ): Promise<ServerProcess> {
    const child = spawnOn(cores, command, cold);
    let complaint = "";
    child.stderr.on("data", (chunk) => {
      complaint = (complaint + chunk).slice(-2_000);
    });
    child.on("error", (error) => {
      complaint += error.message;
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), LISTEN_TIMEOUT_MS);
    try {
      for await (const line of createInterface({ input: child.stdout })) {
        const port = /^listening on (\d+)/.exec(line)?.[1];
        if (port === undefined) continue;
        child.stdout.resume();
        return new ServerProcess(child, Number(port));
      }
    } finally {
      clearTimeout(timer);
    }
    throw new Error(`${command.join(" ")} ended before it listened: ${complaint.trim()}`);
  }

  private constructor(child: Child, port: number) {
    this.#child = child;
    this.port = port;
  }

  /**
   * CPU time of all threads so far, user and system, in seconds. The scheduler counts ns for each thread; `stat` counts the same in hundredths
   * of a second, which is all there is where the kernel keeps no schedstat.
   */
  cpuSeconds(): number {
    const directory = `/proc/${this.#child.pid}`;
    try {
      let nanoseconds = 0;
      for (const thread of readdirSync(`${directory}/task`)) {
        nanoseconds += Number(readFileSync(`${directory}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
      }
      return nanoseconds / 1e9;
    } catch {
      return cpuSecondsOfStat(readFileSync(`${directory}/stat`, "utf8"));
    }
  }

  /** Resident memory, once it has stopped growing. */
  async settledBytes(): Promise<number> {
    let bytes = this.#residentBytes();
    for (let i = 0; i < SETTLE_INTERVALS; i++) {
      await new Promise((resolve) => setTimeout(resolve, SETTLE_INTERVAL_MS));
      const before = bytes;
      bytes = this.#residentBytes();
      if (Math.abs(bytes - before) < before * SETTLED) break;
    }
    return bytes;
  }

  #residentBytes(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const timer = setTimeout(() => child.kill("SIGKILL"), END_TIMEOUT_MS);
    const exited = once(child, "exit");
    child.kill("SIGTERM");
    await exited;
    clearTimeout(timer);
  }
}

/** Fields 14 and 15; the name before them may contain spaces. */
export function cpuSecondsOfStat(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** CPU time of everything on this machine so far, time that its host gave to others included, in seconds; 0 where the system doesn't say. */
export function machineSeconds(): number {
  try {
    const [, user, nice, system, , , irq, softirq, steal] = (readFileSync("/proc/stat", "utf8").split("\n")[0] ?? "")
      .split(/\s+/)
      .map(Number);
    return (
      [user, nice, system, irq, softirq, steal].reduce<number>((sum, ticks) => sum + (ticks ?? 0), 0) / TICKS_PER_SECOND
    );
  } catch {
    return 0;
  }
}
