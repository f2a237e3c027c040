/** The report as text, and the table of `bench:compare`. */
import type { Comparison } from "../baseline.ts";
import { idleShareOf, type Ratio, type SuiteResult, type Summary, summarize } from "../results.ts";
import { checkThresholds, type Threshold, type ThresholdCheck } from "../thresholds.ts";
import { comparedWith, figureName, formatFigure, formatLatency, formatPercent, formatRatio } from "./format.ts";

/** Formats the whole result as text. */
export function terminalReport(result: SuiteResult): string {
  const parts: string[] = [];
  for (const scenario of result.scenarios) {
    const hasLatency = summarize(scenario).some(({ latency }) => latency !== undefined);
    const rows = summarize(scenario).map((summary) => [
      summary.title,
      formatFigure(scenario.primary, summary.figures[scenario.primary]?.median),
      ...(scenario.primary === "perSecond" ? [] : [throughput(summary)]),
      ...(hasLatency ? [formatLatency(summary.latency?.p50), formatLatency(summary.latency?.p99)] : []),
      summary.id === scenario.reference ? "1" : withSpread(summary.ratio),
      summary.failures.length > 0 ? `failed ${summary.failures.length}×: ${summary.failures[0]}` : "",
    ]);
    const head = [
      scenario.title,
      figureName(scenario),
      ...(scenario.primary === "perSecond" ? [] : ["per second"]),
      ...(hasLatency ? ["p50", "p99"] : []),
      comparedWith(scenario),
      "",
    ];
    parts.push(table(head, rows));
  }
  const checks = checkThresholds(result);
  if (checks.length > 0) parts.push(thresholdTable(checks));
  parts.push(...remarks(result));
  for (const { title, reason } of result.missing) parts.push(`${title} took no part: ${reason}`);
  return parts.join("\n\n");
}

/** CPU of other programs, in cores, from which a run counts as disturbed. */
const DISTURBING_CORES = 0.15;

/** Work between its slices, relative to that in them, from which a server is named in a report. */
const REMARKABLE_IDLE_SHARE = 0.02;

/** Returns what a reader must know to judge the figures: disturbances, and work that no slice counts. */
export function remarks(result: SuiteResult): string[] {
  const idle = result.scenarios.flatMap((scenario) =>
    scenario.variants
      .map((variant) => ({ name: `${variant.title} in ${scenario.title}`, share: idleShareOf(variant) }))
      .filter(({ share }) => share > REMARKABLE_IDLE_SHARE)
      .map(({ name, share }) => `${name} ${formatPercent(share)}`),
  );
  return [
    disturbance(result),
    idle.length === 0
      ? undefined
      : `CPU between slices, which isn't counted, relative to that in them: ${idle.join("; ")}.`,
  ].filter((remark) => remark !== undefined);
}

/** Returns a warning if other programs disturbed more than a tenth of the runs. Otherwise undefined. */
function disturbance(result: SuiteResult): string | undefined {
  const runs = result.scenarios.flatMap(({ variants }) => variants.flatMap(({ runs }) => runs));
  const foreign = runs.flatMap((run) => (run.outcome === "measured" ? [run.foreignCores] : []));
  const disturbed = foreign.filter((cores) => cores > DISTURBING_CORES);
  if (disturbed.length <= foreign.length / 10) return undefined;
  return `In ${disturbed.length} of ${foreign.length} runs other programs used up to ${Math.max(...disturbed).toFixed(1)} cores: repeat the run on a quiet machine.`;
}

function thresholdTable(checks: readonly ThresholdCheck[]): string {
  const rows = checks.map((check) => [
    check.title,
    formatThresholdFigure(check.threshold, check.figure),
    formatLimit(check.threshold),
    formatVerdict(check),
  ]);
  return table(["Thresholds", "measured", "limit", ""], rows);
}

/** Formats a figure, or a ratio, of a threshold. */
export function formatThresholdFigure(threshold: Threshold, figure: number | undefined): string {
  if (figure === undefined) return "";
  return threshold.against === undefined ? formatFigure(threshold.metric, figure) : formatRatio(figure);
}

const FLOOR_NAMES = { kernel: "the kernel's own cost", bare: "what the bare transport costs" };

/** Formats the outcome of a threshold. "" for a threshold without a limit. */
export function formatVerdict({ verdict, exceededBy }: ThresholdCheck): string {
  if (verdict === "no limit") return "";
  return exceededBy === undefined ? verdict : `${verdict}: below ${FLOOR_NAMES[exceededBy]}`;
}

/** Formats the limit of a threshold. "" for none. */
export function formatLimit(threshold: Threshold): string {
  if (threshold.limit === undefined) return "";
  return "atMost" in threshold.limit
    ? `at most ${formatThresholdFigure(threshold, threshold.limit.atMost)}`
    : `at least ${formatThresholdFigure(threshold, threshold.limit.atLeast)}`;
}

/** Formats the comparison of a run with the baseline. */
export function comparisonTable(comparisons: readonly Comparison[]): string {
  const percent = (part: number): string =>
    Number.isNaN(part) ? "" : `${part > 0 ? "+" : ""}${(part * 100).toFixed(1)} %`;
  const rows = comparisons.map(({ scenario, against, before, now, change, tolerance, verdict }) => [
    scenario,
    against,
    formatRatio(before),
    Number.isNaN(now) ? "" : formatRatio(now),
    percent(change),
    `±${percent(tolerance).slice(1)}`,
    verdict === "same" ? "" : verdict,
  ]);
  return table(["scenario", "against", "before", "now", "change", "noise", ""], rows);
}

function throughput({ figures, loadBound }: Summary): string {
  const figure = formatFigure("perSecond", figures.perSecond?.median);
  return loadBound ? `≥ ${figure}` : figure;
}

function withSpread(ratio: Ratio | undefined): string {
  if (ratio === undefined) return "";
  const { median, low, high } = ratio;
  return `${formatRatio(median)} (${formatRatio(low)} to ${formatRatio(high)})`;
}

/** Formats rows in aligned columns. The first and the last column are left-aligned, the others right-aligned. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => (i === 0 || i === row.length - 1 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join("  ")
      .trimEnd();
  return [line(head), "─".repeat(line(head).length), ...rows.map(line)].join("\n");
}
