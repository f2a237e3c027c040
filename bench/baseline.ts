/** The baseline in `baseline.json`, and the comparison of a run with it. Used by `compare.ts`. */
import type { Environment } from "./environment.ts";
import { type Metric, ratioOf, type SuiteResult } from "./results.ts";

/**
 * Ratios of a run, kept to compare later runs with: Switchboard's figure divided by another server's; lower is better.
 */
export interface Baseline {
  readonly version: 1;
  readonly environment: Environment;
  readonly ratios: readonly BaselineRatio[];
}

export interface BaselineRatio {
  readonly scenario: string;
  /** Id of the other server. */
  readonly against: string;
  readonly metric: Metric;
  readonly median: number;
  /** See `noiseOf`. */
  readonly noise: number;
  /** Number of rounds in which both servers were measured. */
  readonly rounds: number;
}

/** A ratio of the baseline compared with the same ratio of a run. */
export interface Comparison {
  readonly scenario: string;
  readonly against: string;
  readonly before: number;
  /** NaN: not measured. */
  readonly now: number;
  /** Relative growth of the ratio: 0.1 is 10 % slower against the same server. NaN: not measured. */
  readonly change: number;
  /** Largest change that counts as noise. */
  readonly tolerance: number;
  readonly verdict: "regression" | "improvement" | "same" | "not measured";
}

/** Ids of servers that change seldom, so that a change of the ratio comes from Switchboard. */
const STABLE_SERVERS = ["ws", "node-net"];
/** Smallest tolerance: a few rounds can't tell a smaller change from noise, however well the rounds agree. */
const MIN_TOLERANCE = 0.05;
/** Tolerance in standard deviations of one round. A median of several rounds rarely strays that far. */
const NOISE_FACTOR = 2;

/** Takes the ratios to the stable servers from a result. */
export function baselineOf(result: SuiteResult): Baseline {
  const ratios = result.scenarios.flatMap((scenario) =>
    STABLE_SERVERS.flatMap((against) => {
      const ratio = ratioOf(scenario, scenario.primary, scenario.reference, against);
      if (ratio === undefined) return [];
      const { median, noise, pairs } = ratio;
      return [{ scenario: scenario.id, against, metric: scenario.primary, median, noise, rounds: pairs }];
    }),
  );
  return { version: 1, environment: result.environment, ratios };
}

/**
 * Compares each ratio of the baseline with the run's. A ratio is `not measured` if the run has the scenario, but one of
 * the two servers failed or took no part. Scenarios that the run doesn't have are left out.
 */
export function compare(baseline: Baseline, run: Baseline): Comparison[] {
  const scenarios = new Set(run.ratios.map(({ scenario }) => scenario));
  return baseline.ratios
    .filter(({ scenario }) => scenarios.has(scenario))
    .map((before) => {
      const now = run.ratios.find((ratio) => ratio.scenario === before.scenario && ratio.against === before.against);
      const tolerance = Math.max(MIN_TOLERANCE, NOISE_FACTOR * Math.hypot(before.noise, now?.noise ?? 0));
      const change = now === undefined ? Number.NaN : now.median / before.median - 1;
      return {
        scenario: before.scenario,
        against: before.against,
        before: before.median,
        now: now?.median ?? Number.NaN,
        change,
        tolerance,
        verdict: verdictOf(change, tolerance),
      };
    });
}

function verdictOf(change: number, tolerance: number): Comparison["verdict"] {
  if (Number.isNaN(change)) return "not measured";
  if (change > tolerance) return "regression";
  // The same distance as a factor: half the ratio is as far away as double the ratio.
  return 1 / (1 + change) - 1 > tolerance ? "improvement" : "same";
}
