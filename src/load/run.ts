import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { LoadCommand, LoadNotice, LoadTask, ThreadReport } from "./messages.ts";
import { type LoadReport, summarize } from "./report.ts";
import type { LoadSettings } from "./settings.ts";
import { resolveTarget } from "./target.ts";

/** What a run tells while it goes on. */
export type LoadEvent =
  | { readonly event: "connected"; readonly connections: number }
  /** The counted time begins. */
  | { readonly event: "start" }
  | { readonly event: "progress"; readonly connections: number; readonly received: number; readonly seconds: number }
  /** The counted time is over; the connections are still open. */
  | { readonly event: "end" };

/** Where the worker is: beside the sources, or in the built package. */
const WORKER = new URL(
  import.meta.url.endsWith(".ts") ? "../../workers/load.ts" : "./workers/load.js",
  import.meta.url,
);

/**
 * Puts a load on a server.
 *
 * @param signal ends the run early; what was counted until then is reported
 */
export async function runLoadTest(
  settings: LoadSettings,
  tell: (event: LoadEvent) => void,
  signal: AbortSignal,
): Promise<LoadReport> {
  const target = await resolveTarget(settings.url);
  const count = Math.min(settings.threads, settings.connections);
  const threads: LoadThreadHandle[] = [];
  let startedAt = 0;
  const told = (): void => {
    const sum = (of: (thread: LoadThreadHandle) => number): number => threads.reduce((all, one) => all + of(one), 0);
    tell({
      event: "progress",
      connections: sum(({ open }) => open),
      received: sum(({ received }) => received),
      seconds: startedAt === 0 ? 0 : (performance.now() - startedAt) / 1e3,
    });
  };
  for (let thread = 0, before = 0; thread < count; thread++) {
    const connections = Math.floor(((thread + 1) * settings.connections) / count) - before;
    threads.push(new LoadThreadHandle({ settings, target, connections, before }, told));
    before += connections;
  }
  try {
    await Promise.all(threads.map((thread) => thread.until("ready")));
    const connections = threads.reduce((sum, { open }) => sum + open, 0);
    tell({ event: "connected", connections });
    const ended = AbortSignal.any([signal, lastClosed(threads)]);
    for (const thread of threads) thread.post({ kind: "send" });
    if (connections > 0) await sleep(settings.warmup, ended);
    const started = threads.map((thread) => thread.until("started"));
    for (const thread of threads) thread.post({ kind: "start" });
    await Promise.all(started);
    startedAt = performance.now();
    tell({ event: "start" });
    if (connections > 0) await sleep(settings.duration, ended);
    const over = threads.map((thread) => thread.until("ended"));
    for (const thread of threads) thread.post({ kind: "end" });
    await Promise.all(over);
    tell({ event: "end" });
    const reports = threads.map((thread) => thread.report());
    for (const thread of threads) thread.post({ kind: "finish" });
    return summarize(settings, await Promise.all(reports));
  } finally {
    await Promise.all(threads.map((thread) => thread.exit()));
  }
}

/** One thread of the load, seen from the main thread. */
class LoadThreadHandle {
  readonly #worker: Worker;
  readonly #failed: Promise<never>;
  open = 0;
  received = 0;
  #told: () => void;
  #isReady = false;
  allClosed = (): void => {};

  constructor(task: LoadTask, told: () => void) {
    this.#told = told;
    this.#worker = new Worker(WORKER, { workerData: task });
    this.#failed = once(this.#worker, "error").then(([error]) => {
      throw error;
    });
    this.#failed.catch(() => {});
    this.#worker.on("message", (notice: LoadNotice) => this.#hear(notice));
  }

  post(command: LoadCommand): void {
    this.#worker.postMessage(command);
  }

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

  /** Resolves when it has closed its connections, or ends it. */
  async exit(): Promise<void> {
    await this.#worker.terminate();
  }

  #hear(notice: LoadNotice): void {
    if (notice.kind === "ready") this.#isReady = true;
    if (notice.kind === "open") {
      this.open = notice.connections;
      if (this.#isReady && this.open === 0) this.allClosed();
    }
    if (notice.kind === "progress") this.received = notice.received;
    this.#told();
  }
}

/** Aborts when no thread has a connection left. */
function lastClosed(threads: readonly LoadThreadHandle[]): AbortSignal {
  const controller = new AbortController();
  for (const thread of threads) {
    thread.allClosed = () => {
      if (threads.every(({ open }) => open === 0)) controller.abort();
    };
  }
  return controller.signal;
}

function sleep(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(done, seconds * 1e3);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
  });
}
