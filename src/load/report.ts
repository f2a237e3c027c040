/** The report of a run, made of the reports of its threads. `--json` prints it, and the table is made from it. */
import { type Count, LatencyHistogram } from "./histogram.ts";
import type { ThreadHistogram, ThreadReport } from "./messages.ts";
import type { LoadSettings, Scenario } from "./settings.ts";

/**
 * Busy part of a thread (0 to 1) from which a closed loop is reported with a warning: the thread may have been the
 * limit, and so may the server.
 */
const MIN_BUSY_TO_WARN = 0.95;
/**
 * Largest delay of a message, in µs, that the generator itself may cause in an open loop. If more than 1 in 100
 * messages were later, the report has no valid figures.
 */
const MAX_SLIP_MICROS = 5_000;
/** Largest number of different errors in a report. */
const MAX_ERRORS = 20;

/** The report of a run: plain data, which `--json` prints last. */
export interface LoadReport {
  readonly version: 1;
  readonly scenario: Scenario;
  readonly url: string;
  readonly options: Omit<LoadSettings, "url" | "scenario">;
  /** Length of the counted time, in seconds. */
  readonly seconds: number;
  /**
   * Numbers of messages: `sent` and `received` in the counted time, `lost` and `wrong` in the whole run. In a fan-out,
   * `sent` counts publishes and `received` counts deliveries. In a storm, both count connections.
   */
  readonly messages: {
    readonly sent: number;
    readonly received: number;
    readonly lost: number;
    readonly wrong: number;
  };
  /** Bytes of frames in the counted time. */
  readonly bytes: { readonly sent: number; readonly received: number };
  /** Messages received per second. */
  readonly perSecond: number;
  /** Numbers of connections in the whole run. `closed` counts those that the server ended unasked. */
  readonly connections: { readonly opened: number; readonly failed: number; readonly closed: number };
  readonly latency: Latency;
  readonly load: {
    readonly cpuSeconds: number;
    /** Part of the counted time in which the busiest thread was busy, 0 to 1. */
    readonly busy: number;
    readonly loopDelayP99Ms: number;
    /** True when the generator couldn't keep its schedule: the figures then say nothing about the server. */
    readonly bottleneck: boolean;
    /** Open loop: delay of messages that the generator itself caused, in ms; 99 of 100 were less late. */
    readonly slipP99Ms: number;
    readonly threads: number;
  };
  /** Errors, the most frequent first. */
  readonly errors: readonly string[];
  /** Reasons to doubt the figures. */
  readonly warnings: readonly string[];
}

/** Quantiles, and the counts that they are computed from. Counts of several runs can be merged; quantiles can't. */
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

/** Merges the reports of the threads. */
export function summarize(settings: LoadSettings, threads: readonly ThreadReport[]): LoadReport {
  const { url, scenario, ...options } = settings;
  const sum = (of: (thread: ThreadReport) => number): number => threads.reduce((total, one) => total + of(one), 0);
  const seconds = sum(({ effort }) => effort.seconds) / threads.length;
  const received = sum((thread) => thread.received);
  const busy = Math.max(...threads.map(({ effort }) => effort.busy));
  const slipP99 = LatencyHistogram.from(threads.flatMap(({ slip }) => slip.counts)).quantile(0.99);
  const bottleneck = settings.rate !== undefined && slipP99 > MAX_SLIP_MICROS;
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

/** True when replies were lost or wrong, or when connections failed or were closed by the server. */
export function hasFailed({ messages, connections }: LoadReport): boolean {
  return messages.lost + messages.wrong + connections.failed + connections.closed > 0;
}

function latencyOf(parts: readonly ThreadHistogram[]): Latency {
  const counts = parts.flatMap((part) => part.counts);
  const histogram = LatencyHistogram.from(counts);
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
  if (settings.rate === undefined && settings.scenario !== "idle" && busy > MIN_BUSY_TO_WARN) {
    return [
      `The load generator was ${Math.round(busy * 100)} % busy: it may have been the limit, unless the server was as busy. Add --threads to see.`,
    ];
  }
  return [];
}
