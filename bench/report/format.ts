import type { Metric, ScenarioResult } from "../results.ts";

/** What the primary figure of a scenario is called. */
export function figureName({ primary, unit }: Pick<ScenarioResult, "primary" | "unit">): string {
  if (primary === "perSecond") return `${unit.replace(/sh$/, "she")}s per second`;
  if (primary === "p99Micros") return "p99 of a round";
  return `${primary === "cpuMicros" ? "CPU" : "memory"} per ${unit}`;
}

/** What the ratios of a scenario are called. */
export function comparedWith({ variants, reference, switchboardOnly }: ScenarioResult): string {
  const title = variants.find(({ id }) => id === reference)?.title ?? reference;
  return switchboardOnly ? `against ${title}` : `${title} against it`;
}

/** A figure with its unit; "" for none. */
export function formatFigure(metric: Metric, value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return "";
  if (metric === "perSecond") return Math.round(value).toLocaleString("en-US");
  if (metric === "bytesPerConnection") return `${(value / 1024).toFixed(1)} KiB`;
  return metric === "cpuMicros" ? `${significant(value)} µs` : formatLatency(value);
}

export function formatLatency(micros: number | undefined): string {
  if (micros === undefined) return "";
  return micros < 1_000 ? `${significant(micros)} µs` : `${significant(micros / 1_000)} ms`;
}

export function formatRatio(ratio: number): string {
  return `${ratio.toFixed(ratio < 0.1 ? 3 : 2)}x`;
}

/** Three digits at most, but no fewer than the whole part has. */
function significant(value: number): string {
  return value.toFixed(value < 1 ? 3 : value < 10 ? 2 : value < 100 ? 1 : 0);
}
