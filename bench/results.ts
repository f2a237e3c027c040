/**
 * The result of a suite run: its types, which are also the JSON file, and the figures drawn from it. Used by the
 * runner, the reports, the thresholds and the baseline.
 */
import type { Environment } from "./environment.ts";
import {
  type Counts,
  mergeCounts,
  noiseOf,
  pairRatios,
  quantile,
  type Spread,
  spreadOf,
  type TurnFigure,
} from "./statistics.ts";

/** A kind of figure that a run can have. */
export type Metric =
  /** CPU time of all threads of the server for one unit (message, delivery, connection), in µs. */
  | "cpuMicros"
  /** Units per second. */
  | "perSecond"
  /** Resident memory of the server for one more idle connection, in bytes. */
  | "bytesPerConnection"
  /** Resident memory of the server for one more publication that a stream keeps, in bytes. */
  | "bytesPerPublication"
  /** 99th percentile of latency, in µs. */
  | "p99Micros";

export type Figures = Partial<Record<Metric, number>>;

/**
 * A run of one variant of one scenario: a slice of its traffic, or the run of a fresh process. A run that lost or
 * corrupted a reply is failed and has no figures.
 */
export type Run =
  | {
      readonly outcome: "measured";
      /** Number of the turn, from 1. Runs of the same turn were made one right after the other, and are compared. */
      readonly turn: number;
      readonly figures: Figures;
      readonly latency: Counts;
      /** CPU time of the server in user mode, in seconds: sampled, so that only sums over many runs tell. */
      readonly userSeconds: number;
      /** CPU time of the server in the kernel, in seconds: sampled likewise. */
      readonly kernelSeconds: number;
      /** CPU time of the server since its slice before this one, in seconds. 0 in a process of its own. */
      readonly idleCpuSeconds: number;
      /** CPU time of the server divided by elapsed time, in cores. */
      readonly serverCores: number;
      /** Share of the time, from 0 to 1, in which the busiest thread of the load was busy. */
      readonly loadBusy: number;
      /**
       * CPU used by neither the server nor the load in that time, in cores: other programs, and time taken by the host.
       */
      readonly foreignCores: number;
    }
  | { readonly outcome: "failed"; readonly turn: number; readonly reason: string };

export interface VariantResult {
  readonly id: string;
  readonly title: string;
  readonly runs: readonly Run[];
}

/** All runs of one scenario, by variant. */
export interface ScenarioResult {
  readonly id: string;
  readonly title: string;
  readonly group: string;
  /** Singular noun for the counted unit: "message". */
  readonly unit: string;
  readonly primary: Metric;
  /** Id of the variant that the others are compared with. */
  readonly reference: string;
  /**
   * True if all variants are Switchboard. Their ratios are then their figures divided by the reference's. Otherwise the
   * reference is Switchboard, and ratios are its figure divided by each other server's.
   */
  readonly switchboardOnly: boolean;
  readonly variants: readonly VariantResult[];
}

/** Version of the JSON format of `SuiteResult`. */
export const RESULT_VERSION = 3;

/** The result of a suite run, as in the JSON file. All reports are made from it. */
export interface SuiteResult {
  readonly version: typeof RESULT_VERSION;
  readonly environment: Environment;
  readonly settings: {
    readonly full: boolean;
    readonly rounds: number;
    /** Number of slices of each variant in a round. */
    readonly slices: number;
    /** Length of a slice, in seconds. */
    readonly sliceSeconds: number;
    /** Counted time of a run in a process of its own, in seconds. */
    readonly seconds: number;
    /** Warm-up in seconds: see `Scenario.warmupSeconds`. undefined: each scenario's own. */
    readonly warmup: number | undefined;
  };
  /** Servers that couldn't take part, each with the reason. */
  readonly missing: readonly { readonly title: string; readonly reason: string }[];
  readonly scenarios: readonly ScenarioResult[];
}

export interface Ratio extends Spread {
  /** See `noiseOf`. */
  readonly noise: number;
  /** Number of turns in which both were measured. */
  readonly pairs: number;
}

/** Returns the figure of each turn that was measured. */
export function figuresOf(variant: VariantResult | undefined, metric: Metric): TurnFigure[] {
  return (variant?.runs ?? []).flatMap((run) => {
    const value = run.outcome === "measured" ? run.figures[metric] : undefined;
    return value === undefined ? [] : [{ turn: run.turn, value }];
  });
}

/** Divides one variant's figure by another's, turn by turn. undefined if the two have no measured turn in common. */
export function ratioOf(scenario: ScenarioResult, metric: Metric, of: string, against: string): Ratio | undefined {
  const find = (id: string): VariantResult | undefined => scenario.variants.find((variant) => variant.id === id);
  const ratios = pairRatios(figuresOf(find(of), metric), figuresOf(find(against), metric));
  const spread = spreadOf(ratios);
  return spread && { ...spread, noise: noiseOf(ratios), pairs: ratios.length };
}

/** Part of a variant's CPU time that the kernel took, from 0 to 1, over all turns. undefined: not measured. */
export function kernelShareOf(variant: VariantResult | undefined): number | undefined {
  const measured = (variant?.runs ?? []).filter((run) => run.outcome === "measured");
  const kernel = measured.reduce((sum, { kernelSeconds }) => sum + kernelSeconds, 0);
  const user = measured.reduce((sum, { userSeconds }) => sum + userSeconds, 0);
  return kernel + user > 0 ? kernel / (kernel + user) : undefined;
}

/** CPU time that a variant used between its slices, relative to that of its slices. 0 if nothing was measured. */
export function idleShareOf({ runs }: VariantResult): number {
  const measured = runs.filter((run) => run.outcome === "measured");
  const idle = measured.reduce((sum, { idleCpuSeconds }) => sum + idleCpuSeconds, 0);
  const counted = measured.reduce((sum, { userSeconds, kernelSeconds }) => sum + userSeconds + kernelSeconds, 0);
  return counted > 0 ? idle / counted : 0;
}

/** Latencies in µs. */
export interface LatencyQuantiles {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

/** The figures of one variant over all turns. */
export interface Summary {
  readonly id: string;
  readonly title: string;
  readonly figures: Partial<Record<Metric, Spread>>;
  /** Quantiles of the counts of all turns together. undefined if nothing was counted. */
  readonly latency: LatencyQuantiles | undefined;
  /**
   * Ratio of the primary figures of the reference and this variant: see `ScenarioResult.switchboardOnly` for the
   * direction.
   */
  readonly ratio: Ratio | undefined;
  readonly failures: readonly string[];
  /** True if the load was at its limit in some run and the server wasn't, so the server can do more per second. */
  readonly loadBound: boolean;
}

const METRICS: readonly Metric[] = ["cpuMicros", "perSecond", "bytesPerConnection", "bytesPerPublication", "p99Micros"];
/** Share of one core from which a server or a load counts as at its limit. */
const AT_LIMIT = 0.95;

/**
 * Reads the result in a JSON file of the suite.
 *
 * @param path for the error message
 * @throws Error if the file is of another version
 */
export function parseResult(text: string, path: string): SuiteResult {
  const result: SuiteResult = JSON.parse(text);
  if (result.version === RESULT_VERSION) return result;
  throw new Error(`${path} has format ${result.version}, not ${RESULT_VERSION}: run npm run bench again`);
}

/** Sums the runs of each variant up. */
export function summarize(scenario: ScenarioResult): Summary[] {
  return scenario.variants.map((variant) => {
    const measured = variant.runs.filter((run) => run.outcome === "measured");
    const counts = mergeCounts(measured.map(({ latency }) => latency));
    const figures: Partial<Record<Metric, Spread>> = {};
    for (const metric of METRICS) {
      const spread = spreadOf(figuresOf(variant, metric).map(({ value }) => value));
      if (spread !== undefined) figures[metric] = spread;
    }
    return {
      id: variant.id,
      title: variant.title,
      figures,
      latency:
        counts.length === 0
          ? undefined
          : { p50: quantile(counts, 0.5), p99: quantile(counts, 0.99), p999: quantile(counts, 0.999) },
      ratio: scenario.switchboardOnly
        ? ratioOf(scenario, scenario.primary, variant.id, scenario.reference)
        : ratioOf(scenario, scenario.primary, scenario.reference, variant.id),
      failures: variant.runs.flatMap((run) => (run.outcome === "failed" ? [run.reason] : [])),
      loadBound: measured.some(({ loadBusy, serverCores }) => loadBusy > AT_LIMIT && serverCores < AT_LIMIT),
    };
  });
}
