/** Starts the server and the loads of a job. Used by `measure.ts` and `slices.ts`. */
import { join } from "node:path";
import type { Metric } from "./results.ts";
import type { Scenario, Variant } from "./scenarios.ts";
import { ServerProcess } from "./server-process.ts";
import type { TestedServer } from "./servers.ts";

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
  /** Number of slices in each round of a scenario that counts in slices. */
  readonly slices: number;
  /** Length of a slice, in seconds. */
  readonly sliceSeconds: number;
  /** Counted time of a run in a process of its own, in seconds. */
  readonly seconds: number;
  /** Warm-up in seconds: see `Scenario.warmupSeconds`. undefined: each scenario's own. */
  readonly warmup: number | undefined;
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

export type MemoryMetric = Extract<Metric, `bytesPer${string}`>;

export function isMemory(metric: Metric): metric is MemoryMetric {
  return metric === "bytesPerConnection" || metric === "bytesPerPublication";
}

/**
 * True for a scenario that counts in slices: all its servers are alive and warm, and take turns. The other scenarios
 * need a fresh process for each run, or a load of their own.
 */
export function countsInSlices({ program, cold, primary }: Scenario): boolean {
  return program === "bench" && cold === undefined && !isMemory(primary);
}

export function startServer({ scenario, command }: Job, settings: RunSettings): Promise<ServerProcess> {
  const { tls, cores } = settings;
  const flags = scenario.server.flatMap((flag) => (flag === "--tls" ? [flag, tls.key, tls.cert] : [flag]));
  const cold = scenario.cold === "uncached";
  return ServerProcess.start([...command, "--port", "0", ...flags], placesOf(scenario, cores).server, cold);
}

/** Returns the command of a load, without the flags for its times, and the core of the load. */
export function loadOf(
  { scenario, variant, server }: Job,
  settings: RunSettings,
  port: number,
  path: number,
): { readonly command: readonly string[]; readonly core: number | undefined } {
  const scheme = scenario.server.includes("--tls") ? "wss" : "ws";
  const url = `${scheme}://127.0.0.1:${port}${scenario.paths > 1 ? `/${path}` : (variant.path ?? server.path)}`;
  const program =
    scenario.program === "bench"
      ? [CLI, "bench", url, "--json", ...(server.greeting > 0 ? ["--greeting", String(server.greeting)] : [])]
      : [join(import.meta.dirname, "loads", `${scenario.program}.ts`), url];
  const flags = withConnections([...scenario.load, ...variant.load], settings.connections);
  return { command: [process.execPath, ...program, ...flags], core: placesOf(scenario, settings.cores).load };
}

/** Replaces the value of `--connections`. Flags without `--connections`, and an undefined number, change nothing. */
function withConnections(flags: readonly string[], connections: number | undefined): readonly string[] {
  const at = flags.indexOf("--connections");
  return connections === undefined || at < 0 ? flags : flags.with(at + 1, String(connections));
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
