/**
 * The supervisor of `switchboard run`: keeps one process of a program running, and replaces it by a new one on request.
 */
import type { ChildProcess } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { Program, type ProgramExit, type ProgramSettings, type Taken } from "./program.ts";
import { Relay } from "./relay.ts";
import { type Outcome, Replacement, seconds } from "./replacement.ts";
import type { ServiceManager } from "./service-manager.ts";

export interface SupervisorSettings extends ProgramSettings {
  /** True to start the program again when it fails. */
  readonly restart: boolean;
  /** Time that a process has to end after a signal, in ms. Then it is killed. */
  readonly stopTimeoutMs: number;
}

/** Time that a process has to end by itself once another has taken over from it, in ms. Then it gets SIGTERM. */
const LINGER_MS = 10_000;

/** Time in ms in which the end of a process is known that is known to another one. */
const END_TIMEOUT_MS = 2_000;

/** Time before the first restart, in ms. Doubles with each. */
const MIN_RESTART_DELAY_MS = 100;
const MAX_RESTART_DELAY_MS = 30_000;
/** A process that ran for this time, in ms, failed for another reason than the one before it. */
const HEALTHY_MS = 60_000;

export class Supervisor {
  readonly #settings: SupervisorSettings;
  readonly #manager: ServiceManager;
  readonly #report: (line: string) => void;
  /** The process that has the ports and the connections. */
  #current: Program;
  /** All processes that run: the current one, one that takes over from it, and those that were taken over. */
  readonly #running = new Set<Program>();
  /** "starting" until the current process is ready; "replacing" while another takes over from it. */
  #phase: "starting" | "serving" | "replacing" | "restarting" | "stopping" = "starting";
  /** The replacement of the current process that is under way. */
  #replacement: Replacement | undefined;
  /** True if the next replacement begins when the present one, or the start, is over. */
  #queued = false;
  #restartDelayMs = MIN_RESTART_DELAY_MS;
  #wakeRestart: () => void = () => {};
  readonly #end = Promise.withResolvers<number>();
  readonly #relay = new Relay({
    predecessorOf: (child) => (this.#current.child === child ? undefined : this.#current.child),
    awaits: (child, holdsByNumber) => this.#awaits(child, holdsByNumber),
    gives: (child, pid) => {
      const { old, next } = this.#replacement ?? {};
      if (old?.child === child && next?.pid === pid) this.#replacement?.gives();
    },
    has: (child, taken) => this.#programOf(child)?.has(taken),
    goesOn: (child, lost) => {
      if (this.#replacement?.old.child === child) this.#replacement.goesOn(lost);
      const what = lost === 0 ? "no connection" : lost === 1 ? "1 connection" : `${lost} connections`;
      const why = lost === 0 ? "" : ", which the other process had taken over before it ended";
      this.#report(`pid ${child.pid} has lost ${what}${why}`);
    },
    cut: ({ pid }, why) => this.#report(`nothing more is passed on to pid ${pid}: ${why}`),
  });

  constructor(settings: SupervisorSettings, manager: ServiceManager, report: (line: string) => void) {
    this.#settings = settings;
    this.#manager = manager;
    this.#report = report;
    this.#current = this.#startCurrent();
  }

  /** Resolves with the exit code of the program when no process of it runs any more. */
  get ended(): Promise<number> {
    return this.#end.promise;
  }

  /** Starts a new process, which takes over from the current one. One request waits while another is under way. */
  replace(): void {
    switch (this.#phase) {
      case "stopping":
        return;
      case "restarting":
        this.#wakeRestart();
        return;
      case "serving":
        void this.#replace();
        return;
      default:
        this.#wait(this.#replacement?.next ?? this.#current);
    }
  }

  /** The next replacement waits for a process that starts. */
  #wait(starting: Program): void {
    const { pid } = starting;
    if (starting.isStopped) {
      const limit = seconds(this.#settings.readyTimeoutMs);
      this.#report(
        `pid ${pid} is stopped (SIGCONT lets it go on), which the next replacement waits for, up to ${limit}`,
      );
    } else if (!this.#queued) {
      this.#report(`pid ${pid} isn't ready yet: the next replacement waits`);
    }
    this.#queued = true;
  }

  /** Passes a signal on, waits for the end of all processes, and kills those that take too long. */
  stop(signal: NodeJS.Signals): void {
    if (this.#phase === "restarting") this.#end.resolve(0);
    if (this.#phase !== "stopping") {
      this.#manager.stopping();
      setTimeout(() => this.#killAll(), this.#settings.stopTimeoutMs).unref();
    }
    this.#phase = "stopping";
    this.#wakeRestart();
    for (const program of this.#running) program.signal(signal);
  }

  #killAll(): void {
    for (const program of this.#running) {
      this.#report(`pid ${program.pid} didn't end within ${seconds(this.#settings.stopTimeoutMs)}: it is killed`);
      program.kill();
    }
  }

  #start(): Program {
    const program = Program.start(this.#settings);
    this.#running.add(program);
    this.#relay.add(program.child);
    void program.exit.then((exit) => {
      this.#running.delete(program);
      this.#exited(program, exit);
    });
    return program;
  }

  #programOf(child: ChildProcess): Program | undefined {
    return [...this.#running].find((program) => program.child === child);
  }

  #awaits(child: ChildProcess, holdsByNumber: boolean): void {
    this.#programOf(child)?.awaits();
    if (holdsByNumber) return;
    this.#report(`pid ${child.pid} has no node:ffi: this process passes its connections on, which takes longer`);
  }

  /** Starts a process with nothing to take over. */
  #startCurrent(): Program {
    this.#phase = "starting";
    const program = this.#start();
    this.#current = program;
    void program.ready.then((readiness) => {
      if (this.#phase !== "starting" || readiness.kind === "ended") return;
      if (readiness.kind === "silent") this.#report(irreplaceable(program));
      this.#serve();
    });
    return program;
  }

  /** The current process serves, and may be replaced. */
  #serve(): void {
    this.#phase = "serving";
    this.#manager.ready();
    if (!this.#queued) return;
    this.#queued = false;
    void this.#replace();
  }

  async #replace(): Promise<void> {
    const old = this.#current;
    // A board may start later than the time for that.
    if (!old.isListening && (await old.ready).kind !== "listening") {
      this.#report(irreplaceable(old));
      return;
    }
    this.#phase = "replacing";
    this.#manager.reloading();
    const next = this.#start();
    const replacement = new Replacement(old, next, this.#settings.readyTimeoutMs, this.#report);
    this.#replacement = replacement;
    if (next.pid > 0) this.#report(`pid ${next.pid} starts, to take over from pid ${old.pid}`);
    const outcome = await replacement.outcome();
    this.#replacement = undefined;
    if (this.#isStopping) return;
    if (outcome.kind === "taken") {
      this.#current = next;
      await this.#taken(old, next);
      if (this.#isStopping) return;
    } else if (old.ended) {
      const oldExit = await old.exit;
      // Without a word of the old process, the new one had what that had begun to give.
      if (outcome.lost !== undefined) {
        this.#report(`${next.name} ${outcome.why}${outcome.lost === 0 ? " before it took over" : ""}`);
        return this.#failed(old, oldExit);
      }
      this.#report(`pid ${old.pid} ${oldExit.text} while pid ${next.pid} took over`);
      return this.#failed(next, await next.exit);
    } else {
      this.#reportFailure(old, next, outcome);
    }
    // The new process may have ended since it listened.
    if (this.#current.ended) this.#failed(this.#current, await this.#current.exit);
    else this.#serve();
  }

  /** The new process is the current one. Says what it has of the old one, which is to end. */
  async #taken(old: Program, next: Program): Promise<void> {
    const ms = performance.now() - next.startedAt;
    const taken = await next.taken();
    // The end of a process may be known to the other one first.
    if (taken?.isComplete === false) await Promise.race([old.exit, delay(END_TIMEOUT_MS, undefined, { ref: false })]);
    if (this.#isStopping) return;
    const oldExit = old.ended ? await old.exit : undefined;
    if (taken?.isComplete === false && oldExit === undefined) {
      this.#report(`pid ${next.pid} found no board of pid ${old.pid}, and goes on without its connections`);
    } else if (oldExit !== undefined && (taken === undefined ? oldExit.code !== 0 : !taken.isComplete)) {
      this.#report(whatIsLost(old, next, oldExit, taken));
      return;
    } else {
      this.#report(`pid ${next.pid} took over from pid ${old.pid} in ${seconds(ms)}`);
    }
    this.#retire(old, next, taken);
  }

  get #isStopping(): boolean {
    return this.#phase === "stopping";
  }

  /** Says why a process didn't take over, and who goes on. */
  #reportFailure(old: Program, next: Program, { why, lost }: Extract<Outcome, { kind: "failed" }>): void {
    const before = lost === 0 ? " before it took over" : "";
    const goesOn = lost === undefined ? "hasn't said what it still has" : "goes on";
    const stopped = old.isStopped ? " (it is stopped: SIGCONT lets it go on)" : "";
    this.#report(`${next.name} ${why}${before}: pid ${old.pid} ${goesOn}${stopped}`);
  }

  /** Gives a process that was taken over some time to end by itself. */
  #retire(old: Program, next: Program, taken: Taken | undefined): void {
    let isReminded = false;
    const remind = setTimeout(() => {
      isReminded = true;
      old.signal("SIGTERM");
    }, LINGER_MS);
    const kill = setTimeout(() => old.kill(), LINGER_MS + this.#settings.stopTimeoutMs);
    void old.exit.then((exit) => {
      clearTimeout(remind);
      clearTimeout(kill);
      if (exit.code === 0 || isReminded || this.#isStopping) return;
      this.#report(whatIsLost(old, next, exit, taken));
    });
  }

  #exited(program: Program, exit: ProgramExit): void {
    if (this.#isStopping) {
      if (this.#running.size === 0) void this.#current.exit.then(({ code }) => this.#end.resolve(code));
    } else if (program === this.#current && this.#phase !== "replacing") {
      this.#failed(program, exit);
    }
  }

  /** The process that had the ports and the connections has ended, and no other has them. */
  #failed(program: Program, { code, text }: ProgramExit): void {
    if (code !== 0) this.#report(`${program.name} ${text}`);
    if (!this.#settings.restart || code === 0) this.#endWith(code);
    else void this.#restart(program);
  }

  /** Waits for processes that were taken over, which may still finish requests. */
  #endWith(code: number): void {
    this.#phase = "stopping";
    void Promise.all([...this.#running].map(({ exit }) => exit)).then(() => this.#end.resolve(code));
  }

  async #restart(failed: Program): Promise<void> {
    this.#phase = "restarting";
    this.#queued = false;
    if (performance.now() - failed.startedAt > HEALTHY_MS) this.#restartDelayMs = MIN_RESTART_DELAY_MS;
    const delayMs = this.#restartDelayMs;
    this.#restartDelayMs = Math.min(2 * delayMs, MAX_RESTART_DELAY_MS);
    this.#report(`the program starts again in ${seconds(delayMs)}`);
    await new Promise<void>((resolve) => {
      this.#wakeRestart = resolve;
      setTimeout(resolve, delayMs);
    });
    if (!this.#isStopping) this.#startCurrent();
  }
}

/** Says what became of the connections of a process that ended when another was to take over, or had done so. */
function whatIsLost({ pid }: Program, next: Program, { text }: ProgramExit, taken: Taken | undefined): string {
  if (taken === undefined) return `pid ${pid} ${text}: connections that pid ${next.pid} didn't have by then are lost`;
  if (taken.isComplete) return `pid ${pid} ${text}, after pid ${next.pid} had taken over everything that can move`;
  const { connections: count } = taken;
  if (count === 0) return `pid ${pid} ${text}, with its connections: pid ${next.pid} goes on without them`;
  const some = count === 1 ? "1 connection" : `${count} connections`;
  return `pid ${pid} ${text} before it said that pid ${next.pid} has all connections: ${some} ${count === 1 ? "goes" : "go"} on there, and others, if there were any, are lost`;
}

function irreplaceable({ pid }: Program): string {
  return `pid ${pid} can't be replaced: it has started no board with takeover: true, or its Node can't pass sockets on`;
}
