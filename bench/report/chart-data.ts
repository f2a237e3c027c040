/** Turns results into the data of the charts. Used by the page and the picture. */
import { type ScenarioResult, type SuiteResult, summarize } from "../results.ts";
import { type Counts, mergeCounts, quantile, type Spread } from "../statistics.ts";
import type { BarsData, CurvesData } from "./charts.ts";
import { figureName, formatFigure } from "./format.ts";
import type { MultiplesData } from "./multiples-chart.ts";

const COLORS: Readonly<Record<string, string>> = {
  switchboard: "#2563eb",
  ws: "#d97706",
  bun: "#db2777",
  uwebsockets: "#059669",
  "engine.io": "#7c3aed",
  "node-net": "#64748b",
  epoll: "#1e293b",
};
const OTHER_COLORS = ["#0891b2", "#65a30d", "#9f1239", "#854d0e"];
const VARIANT_COLORS = ["#2563eb", "#60a5fa", "#1e3a8a", "#94a3b8"];
/** Shares at which a curve has points. The last ones are left out where too few latencies were counted. */
const PARTS = [0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999];

function colorOf(scenario: ScenarioResult, id: string): string {
  const at = scenario.variants.findIndex((variant) => variant.id === id);
  if (scenario.switchboardOnly) return VARIANT_COLORS[at % VARIANT_COLORS.length] ?? "";
  return serverColor(id);
}

/** Chooses the color of a server, which is the same in every chart. */
function serverColor(id: string): string {
  const sum = [...id].reduce((total, character) => total + character.charCodeAt(0), 0);
  return COLORS[id] ?? OTHER_COLORS[sum % OTHER_COLORS.length] ?? "";
}

/** Computes the cost of each server as a multiple of Switchboard's, in all scenarios with other servers. */
export function multiplesOf(result: SuiteResult): MultiplesData {
  const scenarios = result.scenarios.filter(({ switchboardOnly }) => !switchboardOnly);
  const titles = new Map<string, string>();
  for (const { variants, reference } of scenarios) {
    for (const { id, title } of variants) if (id !== reference) titles.set(id, title);
  }
  const rows = scenarios.map((scenario) => {
    const cost = scenario.primary.startsWith("bytesPer") ? "memory" : "CPU";
    return { title: scenario.title, note: `${cost} per ${scenario.unit}`, summaries: summarize(scenario) };
  });
  const ids = [...titles.keys()].sort((a, b) => orderOf(a) - orderOf(b));
  return {
    reference: scenarios[0]?.variants.find(({ id }) => id === scenarios[0]?.reference)?.title ?? "",
    rows: rows.map(({ title, note }) => ({ title, note })),
    series: ids.map((id) => ({
      title: titles.get(id) ?? id,
      color: serverColor(id),
      points: rows.flatMap(({ summaries }, row) => {
        const ratio = summaries.find((summary) => summary.id === id)?.ratio;
        return ratio === undefined ? [] : [{ row, ...inverse(ratio) }];
      }),
    })),
  };
}

function orderOf(id: string): number {
  const at = Object.keys(COLORS).indexOf(id);
  return at < 0 ? Number.POSITIVE_INFINITY : at;
}

function inverse({ median, low, high }: Spread): Spread {
  return { median: 1 / median, low: 1 / high, high: 1 / low };
}

/** Makes bars for the primary figure of a scenario and for its throughput. */
export function barsOf(scenario: ScenarioResult): BarsData[] {
  const metrics = scenario.primary === "perSecond" ? [scenario.primary] : [scenario.primary, "perSecond" as const];
  const summaries = summarize(scenario);
  return metrics.flatMap((metric) => {
    const bars = summaries.flatMap(({ id, title, figures, loadBound }) => {
      const spread = figures[metric];
      if (spread === undefined) return [];
      const label = `${metric === "perSecond" && loadBound ? "≥ " : ""}${formatFigure(metric, spread.median)}`;
      return [{ title, color: colorOf(scenario, id), label, ...spread }];
    });
    const name = figureName({ primary: metric, unit: scenario.unit });
    return bars.length === 0 ? [] : [{ name, lessIsBetter: metric !== "perSecond", bars }];
  });
}

/** Makes curves of latency by the share of messages that don't exceed it. undefined if no latency was counted. */
export function curvesOf(scenario: ScenarioResult): CurvesData | undefined {
  const curves = scenario.variants.flatMap(({ id, title, runs }) => {
    const counts: Counts = mergeCounts(runs.flatMap((run) => (run.outcome === "measured" ? [run.latency] : [])));
    const total = counts.reduce((sum, [, count]) => sum + count, 0);
    if (total < 10) return [];
    const parts = PARTS.filter((part) => (1 - part) * total >= 5);
    const points = parts.map((part) => ({ part, micros: quantile(counts, part) }));
    return [{ title, color: colorOf(scenario, id), points }];
  });
  return curves.length === 0 ? undefined : { curves };
}
