import { type Count, Histogram } from "./histogram.ts";
import type { ThreadHistogram, ThreadReport } from "./messages.ts";
import type { LoadSettings, Scenario } from "./settings.ts";

/** From here on a thread is said to have been the limit of a closed loop: it may have been, but so may the server. */
const BUSY = 0.95;
/**
 * An open loop is refused when more than one message in a hundred left later than this after its point in time, for no reason but that the generator
 * was late. In µs.
 */
const MAX_SLIP = 5_000;
const MAX_ERRORS = 20;

/** What a run found. Plain data, and what `--json` prints last. */
export interface LoadReport {
  readonly version: 1;
  readonly scenario: Scenario;
  readonly url: string;
  readonly options: Omit<LoadSettings, "url" | "scenario">;
  /** The counted time. */
  readonly seconds: number;
  /**
   * `sent` and `received` in the counted time; `lost` and `wrong` in all the time. In a fan-out `sent` is what was published, `received` what was
   * delivered; in a storm both are connections.
   */
  readonly messages: {
    readonly sent: number;
    readonly received: number;
    readonly lost: number;
    readonly wrong: number;
  };
  /** Of frames, in the counted time. */
  readonly bytes: { readonly sent: number; readonly received: number };
  /** Messages received per second. */
  readonly perSecond: number;
  /** `closed` are those that the server ended unasked. */
  readonly connections: { readonly opened: number; readonly failed: number; readonly closed: number };
  readonly latency: Latency;
  readonly load: {
    readonly cpuSeconds: number;
    /** Part of the time in which the busiest thread had something to do, 0 to 1. */
    readonly busy: number;
    readonly loopDelayP99Ms: number;
    /** The generator couldn't keep its schedule: the figures tell nothing about the server. */
    readonly bottleneck: boolean;
    /** Open loop: how late messages were sent, in ms: 99 of 100 were less. */
    readonly slipP99Ms: number;
    readonly threads: number;
  };
  /** What went wrong, the most frequent first. */
  readonly errors: readonly string[];
  /** What makes the figures doubtful. */
  readonly warnings: readonly string[];
}

/** Quantiles, and the counts that they are from. Counts of several runs may be put together; quantiles may not. */
export interface Latency {
  readonly unit: "µs";
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  readonly counts: readonly Count[];
}

/** Puts together what the threads counted. */
export function summarize(settings: LoadSettings, threads: readonly ThreadReport[]): LoadReport {
  const { url, scenario, ...options } = settings;
  const sum = (of: (thread: ThreadReport) => number): number => threads.reduce((total, one) => total + of(one), 0);
  const seconds = sum(({ effort }) => effort.seconds) / threads.length;
  const received = sum((thread) => thread.received);
  const busy = Math.max(...threads.map(({ effort }) => effort.busy));
  const slipP99 = Histogram.from(threads.flatMap(({ slip }) => slip.counts)).quantile(0.99);
  const bottleneck = settings.rate !== undefined && slipP99 > MAX_SLIP;
  return {
    version: 1,
    scenario,
    url,
    options,
    seconds,
    messages: {
      sent: sum((thread) => thread.sent),
      received,
      lost: sum((thread) => thread.lost),
      wrong: sum((thread) => thread.wrong),
    },
    bytes: { sent: sum((thread) => thread.bytesSent), received: sum((thread) => thread.bytesReceived) },
    perSecond: seconds > 0 ? received / seconds : 0,
    connections: {
      opened: sum((thread) => thread.opened),
      failed: sum((thread) => thread.failed),
      closed: sum((thread) => thread.closed),
    },
    latency: latencyOf(threads.map(({ latency }) => latency)),
    load: {
      cpuSeconds: sum(({ effort }) => effort.cpuSeconds),
      busy,
      loopDelayP99Ms: Math.max(...threads.map(({ effort }) => effort.loopDelayP99Ms)),
      bottleneck,
      slipP99Ms: slipP99 / 1e3,
      threads: threads.length,
    },
    errors: errorsOf(threads),
    warnings: warningsOf(settings, busy, bottleneck, slipP99),
  };
}

/** Whether replies stayed away or were wrong, or connections failed. */
export function hasFailed({ messages, connections }: LoadReport): boolean {
  return messages.lost + messages.wrong + connections.failed + connections.closed > 0;
}

function latencyOf(parts: readonly ThreadHistogram[]): Latency {
  const counts = parts.flatMap((part) => part.counts);
  const histogram = Histogram.from(counts);
  const total = (part: ThreadHistogram): number => part.counts.reduce((sum, [, count]) => sum + count, 0);
  const weighted = parts.reduce((sum, part) => sum + part.mean * total(part), 0);
  const max = Math.max(0, ...parts.map((part) => part.max));
  const quantile = (part: number): number => Math.min(max, histogram.quantile(part));
  return {
    unit: "µs",
    mean: histogram.count === 0 ? 0 : weighted / histogram.count,
    p50: quantile(0.5),
    p90: quantile(0.9),
    p99: quantile(0.99),
    p999: quantile(0.999),
    max,
    counts: histogram.counts(),
  };
}

function errorsOf(threads: readonly ThreadReport[]): string[] {
  const times = new Map<string, number>();
  for (const [what, count] of threads.flatMap(({ errors }) => errors)) times.set(what, (times.get(what) ?? 0) + count);
  return [...times]
    .sort(([, a], [, b]) => b - a)
    .slice(0, MAX_ERRORS)
    .map(([what, count]) => (count === 1 ? what : `${what} (${count} times)`));
}

function warningsOf(settings: LoadSettings, busy: number, bottleneck: boolean, slipP99: number): string[] {
  if (bottleneck) {
    const late = (slipP99 / 1e3).toFixed(1);
    return [
      `The load generator was the bottleneck: 1 in 100 messages left more than ${late} ms late. Lower --rate, or add --threads.`,
    ];
  }
  if (settings.rate === undefined && settings.scenario !== "idle" && busy > BUSY) {
    return [
      `The load generator was ${Math.round(busy * 100)} % busy: it may have been the limit, unless the server was as busy. Add --threads to see.`,
    ];
  }
  return [];
}
