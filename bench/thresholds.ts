/** The limits that a result should keep, and the check against them. The reports show both. */
import { figuresOf, kernelShareOf, type Metric, ratioOf, type ScenarioResult, type SuiteResult } from "./results.ts";
import { FLOOR, OURS, OURS_OVER_URING, SERVERS, URING_FLOOR } from "./servers.ts";
import { spreadOf } from "./statistics.ts";

/**
 * A limit for the figure of one variant, or for the ratio of that figure to another variant's, taken turn by turn.
 */
export interface Threshold {
  /** Id of the scenario. */
  readonly scenario: string;
  readonly metric: Metric;
  /** Id of the variant that the threshold is for. */
  readonly variant: string;
  /** Id of the variant that the figure is divided by. undefined: the figure itself is checked. */
  readonly against: string | undefined;
  /** undefined: reports show the figure, with no limit. */
  readonly limit: { readonly atMost: number } | { readonly atLeast: number } | undefined;
}

/** Thresholds for Switchboard's ratio to ws, uWebSockets.js and Bun, in this order. undefined: no limit. */
function againstServers(
  scenario: string,
  metric: Metric,
  limits: readonly [number, number | undefined, number | undefined],
): Threshold[] {
  return ["ws", "uwebsockets", "bun"].map((against, i) => {
    const atMost = limits[i];
    return { scenario, metric, variant: OURS, against, limit: atMost === undefined ? undefined : { atMost } };
  });
}

/** Limits over io_uring: the scenario, the metric, and the limit for each server that the figure is divided by. */
const URING_LIMITS: readonly (readonly [string, Metric, Readonly<Record<string, number>>])[] = [
  ["echo-20", "cpuMicros", { bun: 0.9, uwebsockets: 0.85 }],
  ["echo-20-x16", "cpuMicros", { bun: 0.9 }],
  ["echo-4k", "cpuMicros", { bun: 0.8, uwebsockets: 0.9 }],
  ["echo-64k", "cpuMicros", { bun: 1 }],
  ["fanout", "cpuMicros", { bun: 0.95, uwebsockets: 0.85, epoll: 1.15 }],
  ["fanout-x16", "cpuMicros", { bun: 0.9, uwebsockets: 0.9, epoll: 1.15 }],
  ["storm", "cpuMicros", { bun: 1.2, uwebsockets: 1.2 }],
  ["cold-storm", "cpuMicros", { bun: 1.6, uwebsockets: 1.6 }],
  ["cached-storm", "cpuMicros", { bun: 1.6, uwebsockets: 1.6 }],
];

/** The bars that a run with `--bars` is for. */
export const URING_THRESHOLDS: readonly Threshold[] = [
  ...URING_LIMITS.flatMap(([scenario, metric, limits]) =>
    Object.entries(limits).map(([against, atMost]) => {
      return { scenario, metric, variant: OURS_OVER_URING, against, limit: { atMost } };
    }),
  ),
  {
    scenario: "idle",
    metric: "bytesPerConnection",
    variant: OURS_OVER_URING,
    against: undefined,
    limit: { atMost: 1536 },
  },
];

export const THRESHOLDS: readonly Threshold[] = [
  ...againstServers("echo-20", "cpuMicros", [0.5, 1.1, 1.2]),
  ...againstServers("echo-20-x16", "cpuMicros", [0.12, 0.7, 0.8]),
  ...againstServers("echo-4k", "cpuMicros", [0.6, 1.1, 1.0]),
  ...againstServers("fanout", "cpuMicros", [0.8, 1.2, 1.2]),
  ...againstServers("fanout-x16", "cpuMicros", [0.08, 1.2, 1.2]),
  ...againstServers("storm", "cpuMicros", [0.4, 2, 2]),
  ...againstServers("cold-storm", "cpuMicros", [1, undefined, undefined]),
  ...againstServers("idle", "bytesPerConnection", [0.8, undefined, undefined]),
  { scenario: "echo-20", metric: "cpuMicros", variant: OURS, against: "node-net", limit: { atMost: 1.25 } },
  { scenario: "bus-delivery", metric: "cpuMicros", variant: "across", against: "within", limit: { atMost: 1.1 } },
  { scenario: "bus", metric: "perSecond", variant: "across", against: undefined, limit: { atLeast: 2_000_000 } },
  { scenario: "busy", metric: "perSecond", variant: "two", against: "one", limit: { atLeast: 1.8 } },
  { scenario: "isolation", metric: "p99Micros", variant: "other", against: "quiet", limit: { atMost: 2 } },
  { scenario: "stream-fanout", metric: "cpuMicros", variant: "history", against: "plain", limit: { atMost: 1.15 } },
  { scenario: "stream-fanout-x16", metric: "cpuMicros", variant: "history", against: "plain", limit: { atMost: 1.15 } },
  { scenario: "stream-publish", metric: "perSecond", variant: "two", against: undefined, limit: { atLeast: 300_000 } },
  {
    scenario: "stream-memory",
    metric: "bytesPerPublication",
    variant: OURS,
    against: undefined,
    limit: { atMost: 250 },
  },
  { scenario: "stream-resume", metric: "cpuMicros", variant: "behind", against: "new", limit: { atMost: 1.5 } },
  ...URING_THRESHOLDS,
];

/** A threshold with the measured figure and the outcome of the check. */
export interface ThresholdCheck {
  readonly threshold: Threshold;
  /** Title for reports: "Echo 20 B, 1 in flight: CPU against ws". */
  readonly title: string;
  /** Median over the turns. undefined: not measured. */
  readonly figure: number | undefined;
  /** Interval of the median: see `Spread`. */
  readonly interval: readonly [low: number, high: number] | undefined;
  /** For a ratio of CPU: what can't be undercut. Otherwise undefined. */
  readonly floors: Floors | undefined;
  /**
   * For a limit of CPU that isn't met: what already exceeds it, the variant's time in the kernel, or a server with
   * nothing above the variant's transport. Otherwise undefined.
   */
  readonly exceededBy: "kernel" | "bare" | undefined;
  readonly verdict: "met" | "not met" | "no limit" | "not measured";
}

/** Parts of CPU, each divided by the whole CPU of the server that the threshold compares with. */
export interface Floors {
  /** The variant's time in the kernel. */
  readonly kernel: number | undefined;
  /** The whole CPU of the server in C. */
  readonly c: number | undefined;
  /** The time of the server in C in the kernel. */
  readonly cKernel: number | undefined;
  /** The whole CPU of the server that has nothing above our transport of io_uring. */
  readonly bare: number | undefined;
}

const METRIC_NAMES: Readonly<Record<Metric, string>> = {
  cpuMicros: "CPU",
  perSecond: "throughput",
  bytesPerConnection: "memory",
  bytesPerPublication: "memory",
  p99Micros: "p99",
};

/** Checks a result against the thresholds. Thresholds of scenarios that the result doesn't have are left out. */
export function checkThresholds(result: SuiteResult, thresholds: readonly Threshold[] = THRESHOLDS): ThresholdCheck[] {
  return thresholds.flatMap((threshold) => {
    const { metric, variant, against, limit } = threshold;
    const scenario = result.scenarios.find(({ id }) => id === threshold.scenario);
    if (scenario === undefined) return [];
    const titleOf = (id: string): string =>
      [...scenario.variants, ...SERVERS].find((candidate) => candidate.id === id)?.title ?? id;
    const subject = variant === OURS ? METRIC_NAMES[metric] : `${METRIC_NAMES[metric]} ${titleOf(variant)}`;
    const title = `${scenario.title}: ${subject}${against === undefined ? "" : ` against ${titleOf(against)}`}`;
    const measured = scenario.variants.find(({ id }) => id === variant);
    const spread =
      against === undefined
        ? spreadOf(figuresOf(measured, metric).map(({ value }) => value))
        : ratioOf(scenario, metric, variant, against);
    const figure = spread?.median;
    const interval = spread && ([spread.low, spread.high] as const);
    const verdict = verdictOf(figure, limit);
    const floors = floorsOf(scenario, threshold);
    const bar = limit !== undefined && "atMost" in limit ? limit.atMost : Number.POSITIVE_INFINITY;
    const exceededBy =
      verdict === "not met" ? (["kernel", "bare"] as const).find((floor) => (floors?.[floor] ?? 0) > bar) : undefined;
    return [{ threshold, title, figure, interval, floors, exceededBy, verdict }];
  });
}

function floorsOf(scenario: ScenarioResult, { metric, variant, against }: Threshold): Floors | undefined {
  if (metric !== "cpuMicros" || against === undefined) return undefined;
  const partOf = (id: string, part: number | undefined): number | undefined => {
    const ratio = ratioOf(scenario, metric, id, against);
    return ratio && part && ratio.median * part;
  };
  const kernelPart = (id: string): number | undefined => kernelShareOf(scenario.variants.find((one) => one.id === id));
  return {
    kernel: partOf(variant, kernelPart(variant)),
    c: against === FLOOR ? undefined : partOf(FLOOR, 1),
    cKernel: partOf(FLOOR, kernelPart(FLOOR)),
    bare: variant === OURS_OVER_URING ? partOf(URING_FLOOR, 1) : undefined,
  };
}

function verdictOf(figure: number | undefined, limit: Threshold["limit"]): ThresholdCheck["verdict"] {
  if (figure === undefined) return "not measured";
  if (limit === undefined) return "no limit";
  return ("atMost" in limit ? figure <= limit.atMost : figure >= limit.atLeast) ? "met" : "not met";
}
