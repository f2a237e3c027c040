import { CONTESTANTS } from "./contestants.ts";
import { figuresOf, type Metric, ratioOf, type SuiteResult } from "./results.ts";
import { spreadOf } from "./statistics.ts";

/** What must hold: a figure of one entrant, or its ratio to another's, pair by pair. */
export interface Bar {
  readonly scenario: string;
  readonly metric: Metric;
  readonly of: string;
  /** undefined: the figure itself. */
  readonly against: string | undefined;
  /** undefined: the figure is only told. */
  readonly limit: { readonly atMost: number } | { readonly atLeast: number } | undefined;
}

const OURS = "switchboard";

/** Limits against ws, uWebSockets.js and Bun, in this order. */
function bars(
  scenario: string,
  metric: Metric,
  limits: readonly [number, number | undefined, number | undefined],
): Bar[] {
  return ["ws", "uwebsockets", "bun"].map((against, i) => {
    const atMost = limits[i];
    return { scenario, metric, of: OURS, against, limit: atMost === undefined ? undefined : { atMost } };
  });
}

export const BARS: readonly Bar[] = [
  ...bars("echo-20", "cpuMicros", [0.5, 1.1, 1.2]),
  ...bars("echo-20-x16", "cpuMicros", [0.12, 0.7, 0.8]),
  ...bars("echo-4k", "cpuMicros", [0.6, 1.1, 1.0]),
  ...bars("fanout", "cpuMicros", [0.8, 1.2, 1.2]),
  ...bars("fanout-x16", "cpuMicros", [0.08, 1.2, 1.2]),
  ...bars("storm", "cpuMicros", [0.4, 2, 2]),
  ...bars("cold-storm", "cpuMicros", [1, undefined, undefined]),
  ...bars("idle", "bytesPerConnection", [0.8, undefined, undefined]),
  { scenario: "echo-20", metric: "cpuMicros", of: OURS, against: "node-net", limit: { atMost: 1.25 } },
  { scenario: "bus-delivery", metric: "cpuMicros", of: "across", against: "within", limit: { atMost: 1.1 } },
  { scenario: "bus", metric: "perSecond", of: "across", against: undefined, limit: { atLeast: 2_000_000 } },
  { scenario: "busy", metric: "perSecond", of: "two", against: "one", limit: { atLeast: 1.8 } },
  { scenario: "isolation", metric: "p99Micros", of: "other", against: "quiet", limit: { atMost: 2 } },
];

export interface Verdict {
  readonly bar: Bar;
  /** For people: "Echo 20 B, 1 in flight: CPU against ws". */
  readonly title: string;
  /** Median over the rounds; undefined when it wasn't measured. */
  readonly figure: number | undefined;
  readonly verdict: "met" | "not met" | "told" | "not measured";
}

const METRIC_NAMES: Readonly<Record<Metric, string>> = {
  cpuMicros: "CPU",
  perSecond: "throughput",
  bytesPerConnection: "memory",
  p99Micros: "p99",
};

/** How a result stands to the bars; those of scenarios that weren't run are left out. */
export function judge(result: SuiteResult, bars: readonly Bar[] = BARS): Verdict[] {
  return bars.flatMap((bar) => {
    const scenario = result.scenarios.find(({ id }) => id === bar.scenario);
    if (scenario === undefined) return [];
    const titleOf = (id: string): string =>
      [...scenario.entrants, ...CONTESTANTS].find((one) => one.id === id)?.title ?? id;
    const what = METRIC_NAMES[bar.metric];
    const subject = bar.of === OURS ? what : `${what} ${titleOf(bar.of)}`;
    const title = `${scenario.title}: ${subject}${bar.against === undefined ? "" : ` against ${titleOf(bar.against)}`}`;
    const of = scenario.entrants.find(({ id }) => id === bar.of);
    const figure =
      bar.against === undefined
        ? spreadOf(figuresOf(of, bar.metric).map(({ value }) => value))?.median
        : ratioOf(scenario, bar.metric, bar.of, bar.against)?.median;
    return [{ bar, title, figure, verdict: verdictOf(figure, bar.limit) }];
  });
}

function verdictOf(figure: number | undefined, limit: Bar["limit"]): Verdict["verdict"] {
  if (figure === undefined) return "not measured";
  if (limit === undefined) return "told";
  return ("atMost" in limit ? figure <= limit.atMost : figure >= limit.atLeast) ? "met" : "not met";
}
