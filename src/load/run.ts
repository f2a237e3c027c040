/** Runs a load in worker threads and returns the report. The `bench` command and the benchmarks call it. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { builtins } from "../wire/node-internals/builtins.ts";
import { noop } from "../wire/protocol/empty.ts";
import type { FanoutShare, LoadCommand, LoadNotice, LoadTask, ThreadReport } from "./messages.ts";
import { COMPRESSED_MODULUS } from "./payload.ts";
import { type LoadReport, summarize } from "./report.ts";
import { SharedPublishes } from "./scenarios/shared-publishes.ts";
import type { LoadSettings } from "./settings.ts";
import { resolveTarget, type Target } from "./target.ts";

/** An event of a run. */
export type LoadEvent =
  /** The connections are open. Idle: a step is done. */
  | { readonly event: "connected"; readonly connections: number }
  /** The counted time begins. */
  | { readonly event: "start" }
  /** Progress, about twice a second from each thread. `seconds` counts from `start`, and is 0 before. */
  | { readonly event: "progress"; readonly connections: number; readonly received: number; readonly seconds: number }
  /** The counted time is over; the connections are still open. */
  | { readonly event: "end" }
  /** A slice is over: the report of the slice, with the lost and wrong messages of the whole run. */
  | ({ readonly event: "slice" } & LoadReport);

/** Begins a slice, or ends it. */
export type SliceCommand = "go" | "stop";

/** The worker's file: beside the sources, or in the built package. */
const WORKER = new URL(
  import.meta.url.endsWith(".ts") ? "../../workers/load.ts" : "./workers/load.js",
  import.meta.url,
);

/** Time for servers to subscribe connections after their handshakes, in seconds. No event tells when they are done. */
const SUBSCRIBING_SECONDS = 0.5;
/** Time for closing all connections with close frames, in seconds. */
const MAX_CLOSING_SECONDS = 1;
/** Open loop: largest number of publishes of one publisher that are on their way. Further ones wait. */
const OPEN_LOOP_WINDOW = 1024;

/**
 * Puts a load on a server. Resolves with a report even if the server can't be reached.
 *
 * @param tell gets the events of the run
 * @param signal ends the run early; the report then covers the time until then
 * @param slices `go` and `stop` in turns: the run counts from each `go` until all replies after `stop` have arrived,
 *   sends nothing between slices, and ends with the last of them. undefined: the run counts once, for
 *   `settings.duration`.
 */
export async function runLoadTest(
  settings: LoadSettings,
  tell: (event: LoadEvent) => void,
  signal: AbortSignal,
  slices?: AsyncIterable<SliceCommand>,
): Promise<LoadReport> {
  let target: Target;
  try {
    target = await resolveTarget(settings.url, signal);
  } catch (error) {
    return summarize(settings, [unreachable(settings.connections, error)]);
  }
  const run = new Run(settings, target, tell, signal);
  try {
    return await (slices === undefined ? run.count() : run.countSlices(slices));
  } finally {
    await run.end();
  }
}

/** The report of a thread whose connections all failed with `error`. */
function unreachable(failed: number, error: unknown): ThreadReport {
  const none = { counts: [], mean: 0, max: 0 };
  return {
    sent: 0,
    received: 0,
    bytesSent: 0,
    bytesReceived: 0,
    lost: 0,
    wrong: 0,
    opened: 0,
    failed,
    closed: 0,
    latency: none,
    slip: none,
    errors: [[error instanceof Error ? error.message : String(error), 1]],
    effort: { seconds: 0, cpuSeconds: 0, busy: 0, loopDelayP99Ms: 0 },
  };
}

/** One run: leads its threads through the phases, in step. */
class Run {
  readonly #settings: LoadSettings;
  readonly #tell: (event: LoadEvent) => void;
  readonly #threads: LoadThreadHandle[];
  /** Aborted when no connection is left. */
  readonly #stop = new AbortController();
  /** Aborted when the run must end early. */
  readonly #over: AbortSignal;
  #startedAt = 0;
  #nextStep: number;

  constructor(settings: LoadSettings, target: Target, tell: (event: LoadEvent) => void, signal: AbortSignal) {
    this.#settings = settings;
    this.#tell = tell;
    this.#over = AbortSignal.any([signal, this.#stop.signal]);
    this.#nextStep = settings.step;
    const { connections: all, publishers, inflight, rate, scenario, compress } = settings;
    const wanted = rate === undefined ? 2 ** Math.ceil(Math.log2(inflight)) : OPEN_LOOP_WINDOW;
    // Each publish in flight needs a different counter.
    const window = compress ? Math.min(COMPRESSED_MODULUS, wanted) : wanted;
    const { memory } = SharedPublishes.create(scenario === "fanout" ? publishers : 0, window);
    const fanout: FanoutShare = { memory, window, channel: builtins.crypto.randomUUID() };
    const count = Math.min(settings.threads, all);
    this.#threads = Array.from({ length: count }, (_, thread) => {
      const before = Math.floor((thread * all) / count);
      const connections = Math.floor(((thread + 1) * all) / count) - before;
      return new LoadThreadHandle({ settings, target, connections, before, fanout }, (notice) => this.#hear(notice));
    });
  }

  /** Counts once. */
  async count(): Promise<LoadReport> {
    const { warmup, duration, total } = this.#settings;
    await this.#connect();
    const spent = total === undefined ? undefined : this.#all("spent");
    // A thread that fails meanwhile is told of by what is awaited first.
    spent?.catch(() => {});
    this.#post({ kind: "send" });
    await sleep(warmup, this.#over);
    await this.#start();
    this.#tell({ event: "start" });
    await (spent === undefined ? sleep(duration, this.#over) : Promise.race([spent, sleepUntil(this.#over)]));
    await this.#askAll("ended", "end", "stop");
    this.#tell({ event: "end" });
    await this.#askAll("settled", "settle");
    return this.#report();
  }

  /** Counts in slices. Returns the report of the last one. */
  async countSlices(commands: AsyncIterable<SliceCommand>): Promise<LoadReport> {
    await this.#connect();
    for await (const command of commands) {
      if (command === "go") {
        await this.#start();
        this.#post({ kind: "send" });
        this.#tell({ event: "start" });
      } else {
        await this.#askAll("settled", "stop", "settle");
        await this.#askAll("ended", "end");
        this.#tell({ event: "slice", ...(await this.#report()) });
      }
    }
    return this.#report();
  }

  async end(): Promise<void> {
    this.#post({ kind: "finish" });
    await Promise.all(this.#threads.map((thread) => thread.end()));
  }

  get #open(): number {
    return this.#threads.reduce((sum, { open }) => sum + open, 0);
  }

  /** Opens the connections. */
  async #connect(): Promise<void> {
    const { scenario } = this.#settings;
    await Promise.race([this.#all("ready"), sleepUntil(this.#over)]);
    if (scenario !== "idle") this.#tell({ event: "connected", connections: this.#open });
    if (this.#open === 0) this.#stop.abort();
    if (scenario === "fanout") await sleep(SUBSCRIBING_SECONDS, this.#over);
  }

  /** Starts counting. */
  async #start(): Promise<void> {
    await this.#askAll("started", "start");
    this.#startedAt = performance.now();
  }

  async #report(): Promise<LoadReport> {
    const reports = this.#threads.map((thread) => thread.report());
    this.#post({ kind: "report" });
    return summarize(this.#settings, await Promise.all(reports));
  }

  /** Gives the commands to all threads. Resolves when each has answered with this notice. */
  async #askAll(notice: LoadNotice["kind"], ...commands: readonly LoadCommand["kind"][]): Promise<void> {
    const answered = this.#all(notice);
    for (const kind of commands) this.#post({ kind });
    await answered;
  }

  #all(kind: LoadNotice["kind"]): Promise<unknown> {
    return Promise.all(this.#threads.map((thread) => thread.until(kind)));
  }

  #post(command: LoadCommand): void {
    for (const thread of this.#threads) thread.post(command);
  }

  #hear({ kind }: LoadNotice): void {
    const connections = this.#open;
    if (kind === "open" && connections === 0 && this.#threads.every(({ isReady }) => isReady)) this.#stop.abort();
    if (kind === "step") {
      const { step, connections: all } = this.#settings;
      for (; connections >= Math.min(this.#nextStep, all) && this.#nextStep < all + step; this.#nextStep += step) {
        this.#tell({ event: "connected", connections });
      }
    }
    const received = this.#threads.reduce((sum, thread) => sum + thread.received, 0);
    const seconds = this.#startedAt === 0 ? 0 : (performance.now() - this.#startedAt) / 1e3;
    this.#tell({ event: "progress", connections, received, seconds });
  }
}

/** The main thread's handle of one thread of the load. */
class LoadThreadHandle {
  readonly #worker: Worker;
  readonly #failed: Promise<never>;
  readonly #exited: Promise<unknown>;
  /** Number of open connections of the thread, from its last notice. */
  open = 0;
  /** Number of messages that the thread has received, from its last notice. */
  received = 0;
  /** True when every connection of the thread is open or has failed. */
  isReady = false;

  constructor(task: LoadTask, heard: (notice: LoadNotice) => void) {
    this.#worker = new Worker(WORKER, { workerData: task });
    this.#exited = once(this.#worker, "exit");
    this.#failed = new Promise((_, reject) => {
      this.#worker.once("error", reject);
    });
    // `until` reports the failure; this prevents an unhandledRejection while nobody waits.
    this.#failed.catch(noop);
    this.#worker.on("message", (notice: LoadNotice) => {
      if (notice.kind === "ready") this.isReady = true;
      if (notice.kind === "open" || notice.kind === "step") this.open = notice.connections;
      if (notice.kind === "progress") this.received = notice.received;
      heard(notice);
    });
  }

  post(command: LoadCommand): void {
    this.#worker.postMessage(command);
  }

  /** Resolves with the next notice of this kind. Rejects when the thread fails first. */
  until(kind: LoadNotice["kind"]): Promise<LoadNotice> {
    const heard = new Promise<LoadNotice>((resolve) => {
      const listen = (notice: LoadNotice): void => {
        if (notice.kind !== kind) return;
        this.#worker.off("message", listen);
        resolve(notice);
      };
      this.#worker.on("message", listen);
    });
    return Promise.race([heard, this.#failed]);
  }

  async report(): Promise<ThreadReport> {
    const notice = await this.until("report");
    if (notice.kind !== "report") throw new TypeError(`expected a report, got ${notice.kind}`);
    return notice.report;
  }

  /** Ends the thread. Its connections have `MAX_CLOSING_SECONDS` to close. */
  async end(): Promise<void> {
    const patience = new AbortController();
    await Promise.race([this.#exited, sleep(MAX_CLOSING_SECONDS, patience.signal)]);
    // Stops the timer, which would keep the process alive.
    patience.abort();
    await this.#worker.terminate();
  }
}

function sleep(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, seconds * 1e3);
    if (signal.aborted) done();
    else signal.addEventListener("abort", done);
  });
}

function sleepUntil(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
