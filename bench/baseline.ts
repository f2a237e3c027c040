import type { Environment } from "./environment.ts";
import { type Metric, ratioOf, type SuiteResult } from "./results.ts";

/** What is kept of a run to compare later ones with: ratios of ours to others, the lower the better. */
export interface Baseline {
  readonly version: 1;
  readonly environment: Environment;
  readonly ratios: readonly BaselineRatio[];
}

export interface BaselineRatio {
  readonly scenario: string;
  readonly against: string;
  readonly metric: Metric;
  readonly median: number;
  /** See `noiseOf`. */
  readonly noise: number;
  readonly rounds: number;
}

export interface Comparison {
  readonly scenario: string;
  readonly against: string;
  readonly before: number;
  readonly now: number;
  /** Growth of the ratio: 0.1 is 10 % slower against the same peer. */
  readonly change: number;
  /** Changes up to this are taken for noise. */
  readonly tolerance: number;
  readonly verdict: "regression" | "improvement" | "same" | "not measured";
}

/** Peers whose own versions change seldom, so that a change of the ratio is ours. */
const STEADY = ["ws", "node-net"];
/** What no run of a few rounds can tell from noise, however well its rounds agree. */
const LEAST_TOLERANCE = 0.05;
/** Deviations of one round that a median of some rounds hardly ever strays by. */
const DEVIATIONS = 2;

export function baselineOf(result: SuiteResult): Baseline {
  const ratios = result.scenarios.flatMap((scenario) =>
    STEADY.flatMap((against) => {
      const ratio = ratioOf(scenario, scenario.primary, scenario.reference, against);
      if (ratio === undefined) return [];
      const { median, noise, pairs } = ratio;
      return [{ scenario: scenario.id, against, metric: scenario.primary, median, noise, rounds: pairs }];
    }),
  );
  return { version: 1, environment: result.environment, ratios };
}

/**
 * Each ratio of the baseline with the run's. A scenario that the run has, but where a peer or ours failed, is `not measured`; scenarios that the run
 * left out are left out.
 */
export function compare(baseline: Baseline, run: Baseline): Comparison[] {
  const scenarios = new Set(run.ratios.map(({ scenario }) => scenario));
  return baseline.ratios
    .filter(({ scenario }) => scenarios.has(scenario))
    .map((before) => {
      const now = run.ratios.find((ratio) => ratio.scenario === before.scenario && ratio.against === before.against);
      const tolerance = Math.max(LEAST_TOLERANCE, DEVIATIONS * Math.hypot(before.noise, now?.noise ?? 0));
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
  // The same distance as a factor: a half is as far as the double.
  return 1 / (1 + change) - 1 > tolerance ? "improvement" : "same";
}
