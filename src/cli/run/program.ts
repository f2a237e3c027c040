/** One process of the program that `switchboard run` supervises. */
import type { ChildProcess } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { constants } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { SUPERVISOR_VARIABLE, supervisorName } from "../../wire/passing/supervisor-messages.ts";
import { startChild } from "./children.ts";

/** Time between two looks at the path of the takeover while a process starts, in ms. */
const LOOK_MS = 20;

/** Time in ms in which a process that is ready tells what it has. */
const TELL_TIMEOUT_MS = 2_000;

/** The program to start, and the settings of its start. */
export interface ProgramSettings {
  /** The program that runs the file: Node. */
  readonly node: string;
  /** File and arguments. */
  readonly args: readonly string[];
  /** Working directory. */
  readonly cwd: string;
  /** Path of the takeover socket. */
  readonly takeover: string;
  /** Time from the start until the process must listen at the path, in ms. */
  readonly readyTimeoutMs: number;
}

/** The end of a process. */
export interface ProgramExit {
  /** Exit code as shells know it: 128 + the number of the signal that ended the process. */
  readonly code: number;
  /** "ended with code 1" */
  readonly text: string;
}

/** Connections that a process has taken over, as its board has told. */
export interface Taken {
  readonly connections: number;
  /** False if the process before ended before it had given everything, or couldn't be found. */
  readonly isComplete: boolean;
}

export type Readiness =
  | { readonly kind: "listening" }
  | { readonly kind: "silent" }
  | ({ readonly kind: "ended" } & ProgramExit);

export class Program {
  /** The process, for `Relay`. */
  readonly child: ChildProcess;
  readonly startedAt = performance.now();
  readonly exit: Promise<ProgramExit>;
  /**
   * Resolves once: when the board of the process waits for its own successor, at the end of the time for that, or at
   * the end of the process.
   */
  readonly ready: Promise<Readiness>;
  readonly #takeover: string;
  /** The socket at the path when the process started. */
  readonly #before: string | undefined;
  readonly #taken = Promise.withResolvers<Taken>();
  #ended = false;
  #awaits = false;

  private constructor(child: ChildProcess, { takeover, readyTimeoutMs }: ProgramSettings, before: string | undefined) {
    this.child = child;
    this.#takeover = takeover;
    this.#before = before;
    this.exit = new Promise((resolve) => {
      const end = (exit: ProgramExit): void => {
        this.#ended = true;
        resolve(exit);
      };
      child.once("error", (error) => end({ code: 127, text: `didn't start: ${error.message}` }));
      child.once("exit", (code, signal) => {
        if (signal === null) end({ code: code ?? 1, text: `ended with code ${code}` });
        else end({ code: 128 + constants.signals[signal], text: `was ended by ${signal}` });
      });
    });
    this.ready = this.untilReady(readyTimeoutMs);
  }

  static start(settings: ProgramSettings): Program {
    const { node, args, cwd, takeover } = settings;
    const before = socketAt(takeover);
    // The supervisor alone speaks with the service manager.
    const { NOTIFY_SOCKET: _, ...env } = process.env;
    const child = startChild(node, args, {
      cwd,
      env: { ...env, SWITCHBOARD_TAKEOVER: takeover, [SUPERVISOR_VARIABLE]: supervisorName(process.pid) },
      // The board speaks with the supervisor, and through it with other processes, where `node:ffi` is missing.
      stdio: ["inherit", "inherit", "inherit", "ipc"],
      serialization: "advanced",
      // Ctrl+C and a terminal that closes would reach the process directly, and a second time from the supervisor.
      detached: true,
    });
    return new Program(child, settings, before);
  }

  /** A board of the process waits for a successor, and has said so. */
  awaits(): void {
    this.#awaits = true;
  }

  /** The board of the process has taken connections over, and has told how many. */
  has(taken: Taken): void {
    this.#taken.resolve(taken);
  }

  /** Resolves with what the process has told about connections that it has taken over; undefined after 2 s without. */
  async taken(): Promise<Taken | undefined> {
    return Promise.race([this.#taken.promise, delay(TELL_TIMEOUT_MS, undefined, { ref: false })]);
  }

  /** Process id; 0 if the process couldn't be started. */
  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Name of the process in lines of the supervisor. */
  get name(): string {
    return this.pid > 0 ? `pid ${this.pid}` : "the program";
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** True if a signal has stopped the process (SIGSTOP, SIGTSTP). Linux only. */
  get isStopped(): boolean {
    try {
      // The name of a process, in parentheses, may have spaces and parentheses.
      return /.*\) [Tt] /s.test(readFileSync(`/proc/${this.pid}/stat`, "latin1"));
    } catch {
      return false;
    }
  }

  /** True once the board of the process waits for a successor, also if that was later than `ready` waited for. */
  get isListening(): boolean {
    if (this.#awaits) return true;
    const now = socketAt(this.#takeover);
    return now !== undefined && now !== this.#before;
  }

  /** Sends a signal, unless the process has ended. */
  signal(signal: NodeJS.Signals): void {
    if (!this.#ended) this.child.kill(signal);
  }

  /** Ends the process and those that it has started at once. */
  kill(): void {
    if (this.#ended || this.pid === 0) return;
    try {
      process.kill(-this.pid, "SIGKILL");
    } catch {
      this.child.kill("SIGKILL");
    }
  }

  /**
   * As `ready`, with a time in ms from now on. A board that listens at the path has taken over everything, and replaces
   * the socket of its predecessor in one step. So another socket at the path means that it is ready. A board without
   * `node:ffi` has no socket there, and says so.
   */
  async untilReady(timeoutMs: number): Promise<Readiness> {
    const silentAt = performance.now() + timeoutMs;
    return new Promise((resolve) => {
      const timer = setInterval(() => {
        if (this.isListening) settle({ kind: "listening" });
        else if (performance.now() > silentAt) settle({ kind: "silent" });
      }, LOOK_MS);
      const settle = (readiness: Readiness): void => {
        clearInterval(timer);
        resolve(readiness);
      };
      void this.exit.then((exit) => settle({ kind: "ended", ...exit }));
    });
  }
}

/** Identifies the socket at a path; undefined if there is none. */
function socketAt(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found?.isSocket() ? `${found.ino} ${found.ctimeNs}` : undefined;
}
