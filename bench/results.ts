import type { Environment } from "./environment.ts";
import {
  type Counts,
  mergeCounts,
  noiseOf,
  pairRatios,
  quantile,
  type RoundFigure,
  type Spread,
  spreadOf,
} from "./statistics.ts";

/** What a run can be judged by. */
export type Metric =
  /** The server's CPU time for one unit (message, delivery, connection), in µs, all its threads. */
  | "cpuMicros"
  /** Units per second. */
  | "perSecond"
  /** The server's resident memory for one more idle connection. */
  | "bytesPerConnection"
  /** Latency that 99 of 100 don't exceed, in µs. */
  | "p99Micros";

export type Figures = Partial<Record<Metric, number>>;

/** One entrant in one round of one scenario. What lost or spoiled replies has no figures: it failed, however fast it was. */
export type Run =
  | {
      readonly outcome: "measured";
      readonly round: number;
      readonly figures: Figures;
      readonly latency: Counts;
      /** Cores' worth of CPU that the server used; and the part of its time in which the busiest thread of the load had something to do. */
      readonly serverCores: number;
      readonly loadBusy: number;
      /** Cores' worth of CPU that neither the server nor the load used in that time: what others on the machine did, or its host. */
      readonly foreignCores: number;
    }
  | { readonly outcome: "failed"; readonly round: number; readonly reason: string };

export interface EntrantRuns {
  readonly id: string;
  readonly title: string;
  readonly runs: readonly Run[];
}

/** All runs of one scenario. */
export interface ScenarioRuns {
  readonly id: string;
  readonly title: string;
  readonly group: string;
  /** What is counted. */
  readonly unit: string;
  readonly primary: Metric;
  /** The entrant that the others are compared with. */
  readonly reference: string;
  /** The entrants are one server in several situations, told as multiples of the reference; otherwise the reference is told as a multiple of each. */
  readonly situations: boolean;
  readonly entrants: readonly EntrantRuns[];
}

/** What a run of the suite leaves behind: the JSON file, from which all reports are made. */
export interface SuiteResult {
  readonly version: 1;
  readonly environment: Environment;
  readonly settings: {
    readonly full: boolean;
    readonly rounds: number;
    readonly seconds: number;
    readonly warmup: number;
  };
  /** Contestants that couldn't take part, with what is missing. */
  readonly absent: readonly { readonly title: string; readonly reason: string }[];
  readonly scenarios: readonly ScenarioRuns[];
}

export interface Ratio extends Spread {
  /** See `noiseOf`. */
  readonly noise: number;
  /** Rounds that both took part in. */
  readonly pairs: number;
}

/** The figure of each round that was measured. */
export function figuresOf(entrant: EntrantRuns | undefined, metric: Metric): RoundFigure[] {
  return (entrant?.runs ?? []).flatMap((run) => {
    const value = run.outcome === "measured" ? run.figures[metric] : undefined;
    return value === undefined ? [] : [{ round: run.round, value }];
  });
}

/** One entrant's figure divided by another's, round by round; undefined when they have no round in common. */
export function ratioOf(scenario: ScenarioRuns, metric: Metric, of: string, against: string): Ratio | undefined {
  const find = (id: string): EntrantRuns | undefined => scenario.entrants.find((entrant) => entrant.id === id);
  const ratios = pairRatios(figuresOf(find(of), metric), figuresOf(find(against), metric));
  const spread = spreadOf(ratios);
  return spread && { ...spread, noise: noiseOf(ratios), pairs: ratios.length };
}

export interface LatencyQuantiles {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

export interface Summary {
  readonly id: string;
  readonly title: string;
  readonly figures: Partial<Record<Metric, Spread>>;
  /** From the counts of all rounds together; undefined when nothing was counted. */
  readonly latency: LatencyQuantiles | undefined;
  /** The reference's primary figure divided by this one's; the other way about in a scenario of situations. */
  readonly ratio: Ratio | undefined;
  readonly failures: readonly string[];
  /** The server wasn't at its limit while the load was at its own: the server can do more per second. */
  readonly loadBound: boolean;
}

const METRICS: readonly Metric[] = ["cpuMicros", "perSecond", "bytesPerConnection", "p99Micros"];
const AT_LIMIT = 0.95;

export function summarize(scenario: ScenarioRuns): Summary[] {
  return scenario.entrants.map((entrant) => {
    const measured = entrant.runs.filter((run) => run.outcome === "measured");
    const counts = mergeCounts(measured.map(({ latency }) => latency));
    const figures: Partial<Record<Metric, Spread>> = {};
    for (const metric of METRICS) {
      const spread = spreadOf(figuresOf(entrant, metric).map(({ value }) => value));
      if (spread !== undefined) figures[metric] = spread;
    }
    return {
      id: entrant.id,
      title: entrant.title,
      figures,
      latency:
        counts.length === 0
          ? undefined
          : { p50: quantile(counts, 0.5), p99: quantile(counts, 0.99), p999: quantile(counts, 0.999) },
      ratio: scenario.situations
        ? ratioOf(scenario, scenario.primary, entrant.id, scenario.reference)
        : ratioOf(scenario, scenario.primary, scenario.reference, entrant.id),
      failures: entrant.runs.flatMap((run) => (run.outcome === "failed" ? [run.reason] : [])),
      loadBound: measured.some(({ loadBusy, serverCores }) => loadBusy > AT_LIMIT && serverCores < AT_LIMIT),
    };
  });
}
