/** Makes one run: starts the server, puts the load on it, and takes the figures. Used by `run.ts`. */
import { join } from "node:path";
import { failureOf, LoadProcess, type LoadResult } from "./load-process.ts";
import type { Figures, Metric, Run } from "./results.ts";
import type { Scenario, Variant } from "./scenarios.ts";
import { machineSeconds, ServerProcess } from "./server-process.ts";
import type { TestedServer } from "./servers.ts";
import { mergeCounts, quantile } from "./statistics.ts";

/** A variant of a scenario, to be run once in each round. */
export interface Job {
  readonly scenario: Scenario;
  readonly variant: Variant;
  readonly server: TestedServer;
  /** Command that starts the server. */
  readonly command: readonly string[];
}

/** Settings of all runs. */
export interface RunSettings {
  /** Counted time of a run, in seconds. */
  readonly seconds: number;
  /** Time before the counted time, in seconds. */
  readonly warmup: number;
  /** Number of connections. undefined: each scenario's own. */
  readonly connections: number | undefined;
  /** Numbers of the cores that may be used. */
  readonly cores: readonly number[];
  /** Paths of two PEM files. */
  readonly tls: { readonly key: string; readonly cert: string };
}

const CLI = join(import.meta.dirname, "../src/cli/main.ts");
/** Number of cores from which the load has a core of its own even if the server may use several. */
const MANY_CORES = 4;
/** Pause after each step of a memory scenario, in seconds, in which the server's memory settles. */
const STEP_SECONDS = 1.2;

/** Makes one run. Never rejects: an error becomes the outcome of the run. */
export async function measure(job: Job, round: number, settings: RunSettings): Promise<Run> {
  try {
    const { server: serverCores } = placesOf(job.scenario, settings.cores);
    const command = [...job.command, ...serverFlags(job.scenario, settings)];
    const server = await ServerProcess.start(command, serverCores, job.scenario.cold === "uncached");
    try {
      const measured = isMemory(job.scenario.primary)
        ? await measureMemory(job, job.scenario.primary, settings, server)
        : await measureTraffic(job, settings, server);
      return { round, ...measured };
    } finally {
      await server.stop();
    }
  } catch (error) {
    return { outcome: "failed", round, reason: error instanceof Error ? error.message : String(error) };
  }
}

type Outcome =
  | Omit<Extract<Run, { outcome: "measured" }>, "round">
  | Omit<Extract<Run, { outcome: "failed" }>, "round">;

async function measureTraffic(job: Job, settings: RunSettings, server: ServerProcess): Promise<Outcome> {
  const { paths, cold } = job.scenario;
  // A cold run also counts work between the start and the first connection: a server may finish its setup only then.
  const cpuAtStart = server.cpuSeconds();
  const loads = Array.from({ length: paths }, (_, path) => startLoad(job, settings, server.port, path));
  // With several loads, only the time in which all of them count is measured.
  let [started, ended] = [0, 0];
  let [from, to] = [0, 0];
  let [cpuBefore, cpuAfter] = [0, 0];
  let [machineBefore, machineAfter] = [0, 0];
  const events = {
    start() {
      if (++started < paths) return;
      cpuBefore = server.cpuSeconds();
      machineBefore = machineSeconds();
      from = performance.now();
    },
    end() {
      if (++ended > 1) return;
      cpuAfter = server.cpuSeconds();
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
  return { outcome: "measured", figures, latency, serverCores: cores, loadBusy, foreignCores };
}

type MemoryMetric = Extract<Metric, `bytesPer${string}`>;

function isMemory(metric: Metric): metric is MemoryMetric {
  return metric === "bytesPerConnection" || metric === "bytesPerPublication";
}

/**
 * Measures the memory that connections, or publications, after the first step add. The first step isn't counted, because
 * it also pays for code and for room in the heap.
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
    serverCores: 0,
    loadBusy: 0,
    foreignCores: 0,
  };
}

function startLoad({ scenario, variant, server }: Job, settings: RunSettings, port: number, path: number): LoadProcess {
  const { load: core } = placesOf(scenario, settings.cores);
  const scheme = scenario.server.includes("--tls") ? "wss" : "ws";
  const url = `${scheme}://127.0.0.1:${port}${scenario.paths > 1 ? `/${path}` : (variant.path ?? server.path)}`;
  const inSteps = isMemory(scenario.primary);
  const times = {
    duration: inSteps ? STEP_SECONDS : settings.seconds * scenario.durationFactor,
    warmup: inSteps ? STEP_SECONDS : settings.warmup * scenario.warmupFactor,
  };
  const programPath = join(import.meta.dirname, "loads", `${scenario.program}.ts`);
  const program =
    scenario.program === "bench"
      ? [CLI, "bench", url, "--json", ...(server.greeting > 0 ? ["--greeting", String(server.greeting)] : [])]
      : [programPath, url];
  const flags = [...scenario.load, ...variant.load];
  return new LoadProcess(
    [
      process.execPath,
      ...program,
      ...withConnections(flags, settings.connections),
      ...(scenario.cold !== undefined ? [] : ["--duration", String(times.duration), "--warmup", String(times.warmup)]),
    ],
    core,
  );
}

/** Replaces the value of `--connections`. Flags without `--connections`, and an undefined number, change nothing. */
function withConnections(flags: readonly string[], connections: number | undefined): readonly string[] {
  const at = flags.indexOf("--connections");
  return connections === undefined || at < 0 ? flags : flags.with(at + 1, String(connections));
}

function serverFlags(scenario: Scenario, { tls }: RunSettings): string[] {
  return ["--port", "0", ...scenario.server.flatMap((flag) => (flag === "--tls" ? [flag, tls.key, tls.cert] : [flag]))];
}

/** Chooses the cores of the server and of the load. undefined: any core. */
function placesOf(
  { cores: wanted }: Scenario,
  cores: readonly number[],
): { readonly server: readonly number[] | undefined; readonly load: number | undefined } {
  const last = cores.at(-1);
  if (cores.length < 2 || last === undefined) return { server: undefined, load: undefined };
  if (wanted === "one") return { server: cores.slice(0, 1), load: last };
  return cores.length < MANY_CORES
    ? { server: undefined, load: undefined }
    : { server: cores.slice(0, -1), load: last };
}
