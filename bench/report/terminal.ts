import { judge, type Verdict } from "../bars.ts";
import type { Comparison } from "../baseline.ts";
import { type Ratio, type SuiteResult, type Summary, summarize } from "../results.ts";
import { comparedWith, figureName, formatFigure, formatLatency, formatRatio } from "./format.ts";

/** The whole result as text. */
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
  const verdicts = judge(result);
  if (verdicts.length > 0) parts.push(barTable(verdicts));
  const disturbed = disturbance(result);
  if (disturbed !== undefined) parts.push(disturbed);
  for (const { title, reason } of result.absent) parts.push(`${title} took no part: ${reason}`);
  return parts.join("\n\n");
}

/** From so much of a core on, what others do on the machine is worth a warning. */
const DISTURBING_CORES = 0.15;

/** What others on the machine did meanwhile; undefined when it was little. */
export function disturbance(result: SuiteResult): string | undefined {
  const runs = result.scenarios.flatMap(({ entrants }) => entrants.flatMap(({ runs }) => runs));
  const foreign = runs.flatMap((run) => (run.outcome === "measured" ? [run.foreignCores] : []));
  const disturbed = foreign.filter((cores) => cores > DISTURBING_CORES);
  if (disturbed.length <= foreign.length / 10) return undefined;
  return `In ${disturbed.length} of ${foreign.length} runs other programs used up to ${Math.max(...disturbed).toFixed(1)} cores: repeat this on a quiet machine.`;
}

function barTable(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map(({ title, bar, figure, verdict }) => [
    title,
    formatBarFigure(bar, figure),
    formatLimit(bar),
    verdict === "told" ? "" : verdict,
  ]);
  return table(["Bars", "measured", "limit", ""], rows);
}

export function formatBarFigure(bar: Verdict["bar"], figure: number | undefined): string {
  if (figure === undefined) return "";
  return bar.against === undefined ? formatFigure(bar.metric, figure) : formatRatio(figure);
}

export function formatLimit(bar: Verdict["bar"]): string {
  if (bar.limit === undefined) return "";
  return "atMost" in bar.limit
    ? `at most ${formatBarFigure(bar, bar.limit.atMost)}`
    : `at least ${formatBarFigure(bar, bar.limit.atLeast)}`;
}

export function comparisonTable(comparisons: readonly Comparison[]): string {
  const percent = (part: number): string =>
    Number.isNaN(part) ? "" : `${part > 0 ? "+" : ""}${(part * 100).toFixed(1)} %`;
  const rows = comparisons.map(({ scenario, against, before, now, change, tolerance, verdict }) => [
    ...[scenario, against, formatRatio(before), Number.isNaN(now) ? "" : formatRatio(now)],
    ...[percent(change), `±${percent(tolerance).slice(1)}`, verdict === "same" ? "" : verdict],
  ]);
  return table(["scenario", "ours against", "before", "now", "change", "noise", ""], rows);
}

function throughput({ figures, loadBound }: Summary): string {
  const figure = formatFigure("perSecond", figures.perSecond?.median);
  return loadBound ? `≥ ${figure}` : figure;
}

function withSpread(ratio: Ratio | undefined): string {
  if (ratio === undefined) return "";
  const { median, min, max } = ratio;
  return `${formatRatio(median)} (${formatRatio(min)} to ${formatRatio(max)})`;
}

/** Columns of equal width; the first is left-aligned, and so is what follows the last figure. */
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
