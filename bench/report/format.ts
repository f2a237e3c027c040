/** Figures and their names as text. Used by all reports. */
import type { Metric, ScenarioResult, SuiteResult } from "../results.ts";

/** Returns the name of a scenario's primary figure. */
export function figureName({ primary, unit }: Pick<ScenarioResult, "primary" | "unit">): string {
  if (primary === "perSecond") return `${unit.replace(/sh$/, "she")}s per second`;
  if (primary === "p99Micros") return "p99 of a run";
  return `${primary === "cpuMicros" ? "CPU" : "memory"} per ${unit}`;
}

/** Returns the heading of a scenario's ratios. */
export function comparedWith({ variants, reference, switchboardOnly }: ScenarioResult): string {
  const title = variants.find(({ id }) => id === reference)?.title ?? reference;
  return switchboardOnly ? `against ${title}` : `${title} against it`;
}

/** Formats a figure with its unit. "" for undefined and NaN. */
export function formatFigure(metric: Metric, value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return "";
  if (metric === "perSecond") return Math.round(value).toLocaleString("en-US");
  if (metric === "bytesPerPublication") return `${Math.round(value)} B`;
  if (metric === "bytesPerConnection") return `${(value / 1024).toFixed(1)} KiB`;
  return metric === "cpuMicros" ? `${significant(value)} µs` : formatLatency(value);
}

/** Formats a latency given in µs. "" for undefined. */
export function formatLatency(micros: number | undefined): string {
  if (micros === undefined) return "";
  return micros < 1_000 ? `${significant(micros)} µs` : `${significant(micros / 1_000)} ms`;
}

/** Describes how a result was measured. */
export function formatSettings({ rounds, slices, sliceSeconds, seconds }: SuiteResult["settings"]): string {
  const roundsText = rounds === 1 ? "1 round" : `${rounds} rounds`;
  return `${roundsText} of ${slices} slices of ${sliceSeconds} s; ${seconds} s where each run has a process of its own`;
}

/** Formats a share from 0 to 1 in whole percent. */
export function formatPercent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

export function formatRatio(ratio: number): string {
  return `${ratio.toFixed(ratio < 0.1 ? 3 : 2)}x`;
}

/** Formats a number with three significant digits, and with all digits before the point. */
function significant(value: number): string {
  return value.toFixed(value < 1 ? 3 : value < 10 ? 2 : value < 100 ? 1 : 0);
}
