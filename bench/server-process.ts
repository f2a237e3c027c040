/** Starts programs on given cores, and measures a server process from outside by /proc. Used by `measure.ts`. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";

const LISTEN_TIMEOUT_MS = 60_000;
const END_TIMEOUT_MS = 3_000;
/** Memory counts as settled if it changed by less than this share in an interval. */
const SETTLED = 0.002;
const SETTLE_INTERVAL_MS = 200;
const SETTLE_INTERVALS = 5;
/** Unit of the times in /proc/PID/stat and /proc/stat. */
const TICKS_PER_SECOND = 100;

export type Child = ChildProcessByStdio<Writable | null, Readable, Readable>;

/** CPU time of each thread of a process so far, in nanoseconds, by the id of the thread. */
export type ThreadTimes = ReadonlyMap<string, number>;

/**
 * Starts a program on the given cores, or on all cores if they are undefined or `taskset` isn't installed.
 *
 * @param options `cold` disables the cache of compiled code. `stdin` says whether the program gets a standard input.
 */
export function spawnOn(
  cores: readonly number[] | undefined,
  command: readonly string[],
  { cold = false, stdin = "ignore" }: { readonly cold?: boolean; readonly stdin?: "ignore" | "pipe" } = {},
): Child {
  const pinned = cores === undefined || !HAS_TASKSET ? command : ["taskset", "-c", cores.join(","), ...command];
  const [program = "", ...args] = pinned;
  const env = cold
    ? { ...process.env, NODE_DISABLE_COMPILE_CACHE: "1" }
    : { NODE_COMPILE_CACHE: COMPILE_CACHE, ...process.env };
  return spawn(program, args, { stdio: [stdin, "pipe", "pipe"], env }) as Child;
}

/**
 * Folder of Node's cache of compiled code. The cache saves half a second in each run, of which the suite has a hundred.
 */
export const COMPILE_CACHE = join(os.tmpdir(), "switchboard-bench-compile-cache");

/** True if programs can be pinned to cores. */
export const HAS_TASKSET = ["/usr/bin/taskset", "/bin/taskset"].some((path) => existsSync(path));

/** A server under test, in a process of its own. */
export class ServerProcess {
  readonly port: number;
  readonly #child: Child;

  /**
   * Starts a server and waits until it listens. Rejects, with the end of the server's stderr, if the server exits first
   * or doesn't listen within a minute.
   */
  static async start(
    command: readonly string[],
    cores: readonly number[] | undefined,
    cold = false,
  ): Promise<ServerProcess> {
    const child = spawnOn(cores, command, { cold });
    let errorOutput = "";
    child.stderr.on("data", (chunk) => {
      errorOutput = (errorOutput + chunk).slice(-2_000);
    });
    child.on("error", (error) => {
      errorOutput += error.message;
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
    throw new Error(`${command.join(" ")} ended before it listened: ${errorOutput.trim()}`);
  }

  private constructor(child: Child, port: number) {
    this.#child = child;
    this.port = port;
  }

  /**
   * CPU time of all threads so far, user and system, in seconds. Read from each thread's schedstat (ns), or from `stat`
   * (hundredths of a second) if the kernel has no schedstat.
   */
  cpuSeconds(): number {
    return cpuSecondsBetween(new Map(), this.threadTimes());
  }

  /** CPU time of each thread so far, from the same sources as `cpuSeconds`. */
  threadTimes(): ThreadTimes {
    const directory = `/proc/${this.#child.pid}`;
    try {
      const threads = readdirSync(`${directory}/task`);
      return new Map(
        threads.map((thread) => {
          const schedstat = readFileSync(`${directory}/task/${thread}/schedstat`, "utf8");
          return [thread, Number(schedstat.split(" ")[0])];
        }),
      );
    } catch {
      return new Map([["all", cpuSecondsOfStat(readFileSync(`${directory}/stat`, "utf8")) * 1e9]]);
    }
  }

  /**
   * CPU time of all threads so far in user mode and in the kernel, in seconds. The kernel samples the mode at its timer
   * ticks (250 a second here), so only the sum over many slices is good to a few percent.
   */
  modeSeconds(): ModeSeconds {
    return modeSecondsOfStat(readFileSync(`/proc/${this.#child.pid}/stat`, "utf8"));
  }

  /** Waits, for a second at most, until the resident memory has settled. Returns the memory in bytes. */
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

  /** Sends a signal that the server knows. */
  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Ends the server by SIGTERM, or by SIGKILL after 3 seconds. */
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

/** CPU time in user mode and in the kernel, in seconds. */
export interface ModeSeconds {
  readonly user: number;
  readonly kernel: number;
}

/** Reads CPU times from /proc/PID/stat: fields 14 and 15. The program's name before them may contain spaces. */
function modeSecondsOfStat(stat: string): ModeSeconds {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { user: Number(fields[11]) / TICKS_PER_SECOND, kernel: Number(fields[12]) / TICKS_PER_SECOND };
}

/** Reads the CPU time in both modes, in seconds, from /proc/PID/stat. */
export function cpuSecondsOfStat(stat: string): number {
  const { user, kernel } = modeSecondsOfStat(stat);
  return user + kernel;
}

/**
 * CPU time between two readings, in seconds. A thread that began after the first reading counts in full. A thread that
 * has ended counts nothing: its time is no longer known, and the sum over all threads would go back by all of it.
 */
export function cpuSecondsBetween(before: ThreadTimes, after: ThreadTimes): number {
  let nanoseconds = 0;
  for (const [thread, time] of after) nanoseconds += time - (before.get(thread) ?? 0);
  return nanoseconds / 1e9;
}

/**
 * CPU time of the whole machine so far, in seconds, including time that the host gave to other machines. 0 if unknown.
 */
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
