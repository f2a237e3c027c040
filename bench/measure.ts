/**
 * Makes one run of a scenario that doesn't count in slices: starts the server, puts the load on it, takes the figures,
 * and ends both. Used by `run.ts`.
 */
import { failureOf, LoadProcess, type LoadResult } from "./load-process.ts";
import type { Figures, Run } from "./results.ts";
import { machineSeconds, type ServerProcess } from "./server-process.ts";
import { isMemory, type Job, loadOf, type MemoryMetric, type RunSettings, startServer } from "./start.ts";
import { mergeCounts, quantile } from "./statistics.ts";

/** Pause after each step of a memory scenario, in seconds, in which the server's memory settles. */
const STEP_SECONDS = 1.2;

/** Makes one run. Never rejects: an error becomes the outcome of the run. */
export async function measure(job: Job, turn: number, settings: RunSettings): Promise<Run> {
  try {
    const server = await startServer(job, settings);
    try {
      const measured = isMemory(job.scenario.primary)
        ? await measureMemory(job, job.scenario.primary, settings, server)
        : await measureTraffic(job, settings, server);
      return { turn, ...measured };
    } finally {
      await server.stop();
    }
  } catch (error) {
    return { outcome: "failed", turn, reason: error instanceof Error ? error.message : String(error) };
  }
}

type Outcome = Omit<Extract<Run, { outcome: "measured" }>, "turn"> | Omit<Extract<Run, { outcome: "failed" }>, "turn">;

async function measureTraffic(job: Job, settings: RunSettings, server: ServerProcess): Promise<Outcome> {
  const { paths, cold } = job.scenario;
  // A cold run also counts work between the start and the first connection: a server may finish its setup only then.
  const cpuAtStart = server.cpuSeconds();
  const modesAtStart = server.modeSeconds();
  const loads = Array.from({ length: paths }, (_, path) => startLoad(job, settings, server.port, path));
  // With several loads, only the time in which all of them count is measured.
  let [started, ended] = [0, 0];
  let [from, to] = [0, 0];
  let [cpuBefore, cpuAfter] = [0, 0];
  let [machineBefore, machineAfter] = [0, 0];
  let [modesBefore, modesAfter] = [modesAtStart, modesAtStart];
  const events = {
    start() {
      if (++started < paths) return;
      cpuBefore = server.cpuSeconds();
      if (cold === undefined) modesBefore = server.modeSeconds();
      machineBefore = machineSeconds();
      from = performance.now();
    },
    end() {
      if (++ended > 1) return;
      cpuAfter = server.cpuSeconds();
      modesAfter = server.modeSeconds();
      machineAfter = machineSeconds();
      to = performance.now();
    },
  };
  let results: LoadResult[];
  try {
    results = await Promise.all(loads.map((load) => load.run(events)));
  } finally {
    await Promise.all(loads.map((load) => load.stop()));
  }
  const reason = results.map(failureOf).find((failure) => failure !== undefined);
  if (reason !== undefined) return { outcome: "failed", reason };
  if (to <= from) return { outcome: "failed", reason: "the loads didn't run at the same time" };
  const perSecond = results.reduce((sum, result) => sum + result.perSecond, 0);
  if (perSecond === 0) return { outcome: "failed", reason: "no reply arrived" };
  const latency = mergeCounts(results.map((result) => result.latency.counts));
  const cores = (cpuAfter - cpuBefore) / ((to - from) / 1000);
  const opened = results.reduce((sum, { connections }) => sum + connections.opened, 0);
  const cpuSeconds = cold !== undefined ? (cpuAfter - cpuAtStart) / opened : cores / perSecond;
  const figures: Figures = {
    perSecond,
    ...(latency.length > 0 && { p99Micros: quantile(latency, 0.99) }),
    ...(process.platform === "linux" && { cpuMicros: cpuSeconds * 1e6 }),
  };
  const loadBusy = Math.max(...results.map(({ load }) => load.busy));
  const seconds = (to - from) / 1000;
  const loadCores = results.reduce((sum, { load, seconds }) => sum + load.cpuSeconds / seconds, 0);
  const foreignCores = Math.max(0, (machineAfter - machineBefore) / seconds - cores - loadCores);
  return {
    outcome: "measured",
    figures,
    latency,
    userSeconds: modesAfter.user - modesBefore.user,
    kernelSeconds: modesAfter.kernel - modesBefore.kernel,
    idleCpuSeconds: 0,
    serverCores: cores,
    loadBusy,
    foreignCores,
  };
}

/**
 * Measures the memory that connections, or publications, after the first step add. The first step isn't counted,
 * because it also pays for code and for room in the heap.
 */
async function measureMemory(
  job: Job,
  metric: MemoryMetric,
  settings: RunSettings,
  server: ServerProcess,
): Promise<Outcome> {
  const load = startLoad(job, settings, server.port, 0);
  const steps: { units: number; bytes: number }[] = [];
  const step = async (units: number): Promise<void> => {
    steps.push({ units, bytes: await server.settledBytes() });
  };
  try {
    const result = await load.run({ connected: step, stored: step });
    const reason = failureOf(result);
    if (reason !== undefined) return { outcome: "failed", reason };
  } finally {
    await load.stop();
  }
  const [before, after] = [steps[0], steps.at(-1)];
  if (before === undefined || after === undefined || after.units === before.units) {
    return { outcome: "failed", reason: "the load didn't add to the server's memory in steps" };
  }
  return {
    outcome: "measured",
    figures: { [metric]: (after.bytes - before.bytes) / (after.units - before.units) },
    latency: [],
    userSeconds: 0,
    kernelSeconds: 0,
    idleCpuSeconds: 0,
    serverCores: 0,
    loadBusy: 0,
    foreignCores: 0,
  };
}

function startLoad(job: Job, settings: RunSettings, port: number, path: number): LoadProcess {
  const { scenario } = job;
  const inSteps = isMemory(scenario.primary);
  const duration = inSteps ? STEP_SECONDS : settings.seconds * scenario.durationFactor;
  const warmup = inSteps ? STEP_SECONDS : (settings.warmup ?? scenario.warmupSeconds);
  const times = scenario.cold !== undefined ? [] : ["--duration", String(duration), "--warmup", String(warmup)];
  const { command, core } = loadOf(job, settings, port, path);
  return new LoadProcess([...command, ...times], core);
}
