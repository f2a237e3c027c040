/**
 * Measures a scenario in slices: all servers are alive and warm, and count short slices of traffic in turns, so that
 * what disturbs the machine disturbs all of them. Used by `run.ts`.
 */
import { failureOf, type LoadResult, SlicedLoad } from "./load-process.ts";
import { orderOfTurn } from "./plan.ts";
import type { Run } from "./results.ts";
import { cpuSecondsBetween, machineSeconds, type ServerProcess, type ThreadTimes } from "./server-process.ts";
import { type Job, loadOf, type RunSettings, startServer } from "./start.ts";
import { mergeCounts, quantile } from "./statistics.ts";

/** Callbacks for the progress. */
export interface SliceEvents {
  /** The variant starts, and warms up. */
  warming(job: Job): void;
  turnBegan(turn: number): void;
  turnEnded(turn: number, runs: ReadonlyMap<Job, Run>): void;
}

/**
 * Starts all variants of a scenario, warms up each, and counts `settings.slices` turns with a slice of each variant.
 * A variant whose slice fails takes no part in later turns. Never rejects.
 *
 * @param firstTurn number of the first turn
 */
export async function measureInSlices(
  jobs: readonly Job[],
  firstTurn: number,
  settings: RunSettings,
  events: SliceEvents,
): Promise<ReadonlyMap<Job, readonly Run[]>> {
  const contenders: Contender[] = [];
  const runs = new Map<Job, Run[]>(jobs.map((job) => [job, []]));
  const failures = new Map<Job, string>();
  const attempt = async (job: Job, step: () => Promise<void>): Promise<void> => {
    if (failures.has(job)) return;
    try {
      await step();
    } catch (error) {
      failures.set(job, error instanceof Error ? error.message : String(error));
    }
  };
  try {
    for (const job of jobs) {
      events.warming(job);
      await attempt(job, async () => {
        const contender = await Contender.start(job, settings);
        contenders.push(contender);
        await contender.warmUp(settings.warmup ?? job.scenario.warmupSeconds);
      });
    }
    // The first servers have been idle for the warm-ups of the others: a turn that doesn't count wakes them up.
    for (const one of contenders) await attempt(one.job, async () => void (await one.slice(settings.sliceSeconds)));
    for (let turn = firstTurn; turn < firstTurn + settings.slices; turn++) {
      events.turnBegan(turn);
      const measured = new Map<Job, Run>();
      for (const one of orderOfTurn(contenders, turn)) {
        await attempt(one.job, async () => {
          measured.set(one.job, { outcome: "measured", turn, ...(await one.slice(settings.sliceSeconds)) });
        });
      }
      for (const [job, reason] of failures) measured.set(job, { outcome: "failed", turn, reason });
      for (const [job, run] of measured) runs.get(job)?.push(run);
      events.turnEnded(turn, measured);
    }
  } finally {
    await Promise.all(contenders.map((contender) => contender.stop()));
  }
  return runs;
}

/** Number of slices of a warm-up that has its whole core. */
const WARMUP_SLICES = 6;
/**
 * A server is warm when this many slices in turn were no cheaper than the cheapest before, by this part of its cost.
 */
const STEADY_SLICES = 4;
const CHEAPER = 0.05;
/** Longest warm-up, as a factor of the CPU that it should take: on a busy machine a server gets little of its core. */
const MAX_WARMUP_FACTOR = 10;

type Slice = Omit<Extract<Run, { outcome: "measured" }>, "outcome" | "turn">;

/** A variant with its server and its loads, all alive. */
class Contender {
  readonly job: Job;
  readonly #server: ServerProcess;
  readonly #loads: readonly SlicedLoad[];
  /** CPU of the server's threads at the end of the last slice. */
  #atEnd: ThreadTimes;

  static async start(job: Job, settings: RunSettings): Promise<Contender> {
    const server = await startServer(job, settings);
    const loads = Array.from({ length: job.scenario.paths }, (_, path) => {
      const { command, core } = loadOf(job, settings, server.port, path);
      return new SlicedLoad([...command, "--slices"], core);
    });
    return new Contender(job, server, loads);
  }

  private constructor(job: Job, server: ServerProcess, loads: readonly SlicedLoad[]) {
    this.job = job;
    this.#server = server;
    this.#loads = loads;
    this.#atEnd = server.threadTimes();
  }

  /**
   * Puts the load on the server until the server has used this much CPU, in seconds, and a unit no longer gets cheaper:
   * on a busy machine V8 compiles late.
   */
  async warmUp(cpuSeconds: number): Promise<void> {
    const giveUpAt = performance.now() + MAX_WARMUP_FACTOR * cpuSeconds * 1000;
    const before = this.#server.threadTimes();
    const length = cpuSeconds / WARMUP_SLICES;
    let cheapest = Number.POSITIVE_INFINITY;
    let unchanged = 0;
    let used = 0;
    while ((used < cpuSeconds || unchanged < STEADY_SLICES) && performance.now() < giveUpAt) {
      const { cpuMicros = 0 } = (await this.slice(length)).figures;
      unchanged = cpuMicros < cheapest * (1 - CHEAPER) ? 0 : unchanged + 1;
      cheapest = Math.min(cheapest, cpuMicros);
      used = cpuSecondsBetween(before, this.#server.threadTimes());
    }
  }

  /** Makes one slice. Rejects if it lost or corrupted a reply, or if the load was the bottleneck. */
  async slice(seconds: number): Promise<Slice> {
    const server = this.#server;
    const before = { threads: server.threadTimes(), modes: server.modeSeconds(), machine: machineSeconds() };
    const from = performance.now();
    const results = await Promise.all(this.#loads.map((load) => load.slice(seconds)));
    const elapsed = (performance.now() - from) / 1000;
    const after = { threads: server.threadTimes(), modes: server.modeSeconds(), machine: machineSeconds() };
    const failure = results.map(failureOf).find((reason) => reason !== undefined);
    if (failure !== undefined) throw new Error(failure);
    const units = sum(results, ({ messages }) => messages.received);
    if (units === 0) throw new Error("no reply arrived");
    const cpuSeconds = cpuSecondsBetween(before.threads, after.threads);
    const idleCpuSeconds = cpuSecondsBetween(this.#atEnd, before.threads);
    this.#atEnd = after.threads;
    const latency = mergeCounts(results.map((result) => result.latency.counts));
    const loadCpuSeconds = sum(results, ({ load }) => load.cpuSeconds);
    return {
      figures: {
        perSecond: sum(results, ({ perSecond }) => perSecond),
        ...(latency.length > 0 && { p99Micros: quantile(latency, 0.99) }),
        ...(process.platform === "linux" && { cpuMicros: (cpuSeconds / units) * 1e6 }),
      },
      latency,
      userSeconds: after.modes.user - before.modes.user,
      kernelSeconds: after.modes.kernel - before.modes.kernel,
      idleCpuSeconds,
      serverCores: cpuSeconds / elapsed,
      loadBusy: Math.max(...results.map(({ load }) => load.busy)),
      foreignCores: Math.max(0, (after.machine - before.machine - cpuSeconds - loadCpuSeconds) / elapsed),
    };
  }

  async stop(): Promise<void> {
    await Promise.all(this.#loads.map((load) => load.stop()));
    await this.#server.stop();
  }
}

function sum(results: readonly LoadResult[], of: (result: LoadResult) => number): number {
  return results.reduce((total, result) => total + of(result), 0);
}
