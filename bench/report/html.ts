/** The report as a page with charts and tables. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import ts from "typescript";
import { type SuiteResult, type Summary, summarize } from "../results.ts";
import { checkThresholds } from "../thresholds.ts";
import { barsOf, curvesOf, multiplesOf } from "./chart-data.ts";
import { barsChart, type Chart, curvesChart } from "./charts.ts";
import { comparedWith, figureName, formatFigure, formatLatency, formatRatio, formatSettings } from "./format.ts";
import { multiplesChart } from "./multiples-chart.ts";
import { drawSvg } from "./svg.ts";
import { formatLimit, formatThresholdFigure, formatVerdict, remarks } from "./terminal.ts";

const require = createRequire(import.meta.url);
/** Modules of the page's script, each after the modules that it imports. */
const SOURCES = ["./charts.ts", "./multiples-chart.ts"];
const STYLE = readFileSync(new URL("./page.css", import.meta.url), "utf8");

/**
 * The charts of a page. Each is in the page as a picture, and the page's script replaces it by an interactive chart.
 */
class Charts {
  readonly #data: { kind: string; data: unknown }[] = [];

  draw<T>(kind: string, chart: (data: T) => Chart, data: T, width: number): string {
    const drawn = chart(data);
    this.#data.push({ kind, data });
    return `<div class="chart" style="height:${drawn.height}px">${drawSvg(drawn, width)}</div>`;
  }

  /**
   * Makes the page's script from the chart library, the chart modules and their data, so that the page needs no
   * network.
   */
  script(): string {
    const library = readFileSync(require.resolve("echarts/dist/echarts.min.js"), "utf8");
    const charts = SOURCES.map(scriptOf).join("");
    const data = JSON.stringify(this.#data).replaceAll("<", "\\u003c");
    return `<script>${library}</script>
<script type="module">
${charts}
const kinds = { multiplesChart, barsChart, curvesChart };
const data = ${data};
const drawn = [...document.querySelectorAll(".chart")].map((element, i) => {
  const { option } = kinds[data[i].kind](data[i].data);
  element.textContent = "";
  const chart = echarts.init(element, null, { renderer: "svg" });
  chart.setOption(option);
  return chart;
});
addEventListener("resize", () => drawn.forEach((chart) => chart.resize()));
</script>`;
  }
}

/** Compiles a module to a part of the page's script: JavaScript without imports and exports. */
function scriptOf(file: string): string {
  const source = readFileSync(new URL(file, import.meta.url), "utf8");
  const target = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
  const { outputText } = ts.transpileModule(source, { compilerOptions: target });
  return outputText.replaceAll(/^export |^import .*;$/gm, "");
}

/** Makes one page of the whole result. The page works without a network, and also without scripts. */
export function htmlReport(result: SuiteResult): string {
  const charts = new Charts();
  const multiples = multiplesOf(result);
  const body = [
    `<header><h1>Switchboard: benchmark</h1>${environment(result)}</header>`,
    warnings(result),
    multiples.series.length === 0
      ? ""
      : `<section>${charts.draw("multiplesChart", multiplesChart, multiples, 1080)}</section>`,
    thresholdSection(result),
    ...[...Map.groupBy(result.scenarios, ({ group }) => group)].map(([group, scenarios]) => {
      const parts = scenarios.map((scenario) => scenarioSection(scenario, charts));
      return `<h2>${escapeHtml(group)}</h2>${parts.join("")}`;
    }),
  ];
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Switchboard: benchmark of ${escapeHtml(result.environment.date.slice(0, 10))}</title>
<style>${STYLE}</style>
<body>
${body.join("\n")}
${charts.script()}
</body>
</html>
`;
}

function environment({ environment: env, settings }: SuiteResult): string {
  const versions = Object.entries(env.versions).map(([name, version]) => `${name} ${version}`);
  const rows: [string, string][] = [
    ["machine", `${env.cpu}, ${env.cores.length} cores, ${env.memoryGiB} GiB, ${env.kernel}`],
    ["versions", versions.join(", ")],
    ["commit", env.commit],
    ["when", env.date.slice(0, 16).replace("T", " ")],
    ["how", `${env.command}: ${formatSettings(settings)}`],
  ];
  return `<dl>${rows.map(([name, value]) => `<dt>${name}</dt><dd>${escapeHtml(value)}</dd>`).join("")}</dl>
<p>Each server is a process of its own on one core, and the load runs on another. All servers of a scenario are alive and warm, and take
turns by slices; in cold storms, memory and the scenarios across shards, each run has a fresh process. CPU is what the operating system
accounts to the whole server, all its threads. Every reply is checked: runs that lost or corrupted one don't count. Ratios are taken turn
by turn; figures are medians over the turns, with the interval in which the true median lies with 95 % confidence.</p>`;
}

function warnings(result: SuiteResult): string {
  const lines = result.missing.map(({ title, reason }) => `${title} took no part: ${reason}`);
  lines.unshift(...remarks(result));
  return lines.map((line) => `<p class="warning">${escapeHtml(line)}</p>`).join("");
}

function thresholdSection(result: SuiteResult): string {
  const checks = checkThresholds(result);
  if (checks.length === 0) return "";
  const rows = checks.map((check) => {
    const { title, threshold, figure, interval, floors, verdict } = check;
    const format = (value: number | undefined): string => formatThresholdFigure(threshold, value);
    const cells = [
      format(figure),
      interval === undefined ? "" : interval.map(format).join(" to "),
      format(floors?.kernel),
      format(floors?.cKernel),
      format(floors?.c),
      formatLimit(threshold),
    ].map((cell) => `<td>${escapeHtml(cell)}</td>`);
    const shown = escapeHtml(formatVerdict(check));
    return `<tr><th>${escapeHtml(title)}</th>${cells.join("")}<td class="${verdict.replace(" ", "-")}">${shown}</td></tr>`;
  });
  const head = ["measured", "interval", "its kernel time", "C's kernel time", "C in all", "limit", ""];
  return `<h2>Thresholds</h2><section><table><thead><tr><th></th>${head.map((cell) => `<td>${cell}</td>`).join("")}</tr></thead>${rows.join("")}</table></section>`;
}

function scenarioSection(scenario: SuiteResult["scenarios"][number], charts: Charts): string {
  const bars = barsOf(scenario).map((data) => charts.draw("barsChart", barsChart, data, 520));
  const curves = curvesOf(scenario);
  if (curves !== undefined) bars.push(charts.draw("curvesChart", curvesChart, curves, 520));
  const head = [figureName(scenario), "per second", "p50", "p99", "p99.9", comparedWith(scenario), "interval"];
  const rows = summarize(scenario).map((summary) => {
    const cells = cellsOf(summary, scenario).map((cell) => `<td>${escapeHtml(cell)}</td>`);
    const failures = summary.failures.map(
      (reason) => `<tr class="failed"><td colspan="8">failed: ${escapeHtml(reason)}</td></tr>`,
    );
    return `<tr><th>${escapeHtml(summary.title)}</th>${cells.join("")}</tr>${failures.join("")}`;
  });
  const columns = head.map((cell) => `<td>${escapeHtml(cell)}</td>`).join("");
  return `<section id="${scenario.id}"><h3>${escapeHtml(scenario.title)}</h3><div class="charts">${bars.join("")}</div>
<table><thead><tr><th></th>${columns}</tr></thead>${rows.join("")}</table></section>`;
}

function cellsOf(
  { figures, latency, ratio, loadBound, id }: Summary,
  scenario: SuiteResult["scenarios"][number],
): string[] {
  return [
    formatFigure(scenario.primary, figures[scenario.primary]?.median),
    `${loadBound ? "≥ " : ""}${formatFigure("perSecond", figures.perSecond?.median)}`,
    ...[latency?.p50, latency?.p99, latency?.p999].map(formatLatency),
    ...(ratio === undefined || id === scenario.reference
      ? ["", ""]
      : [formatRatio(ratio.median), `${formatRatio(ratio.low)} to ${formatRatio(ratio.high)}`]),
  ];
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
