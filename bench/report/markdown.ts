/** The report as Markdown tables, for README.md: the figures of all servers, and the thresholds. */
import { ratioOf, type ScenarioResult, type SuiteResult, summarize } from "../results.ts";
import { checkThresholds, type Threshold } from "../thresholds.ts";
import { figureName, formatFigure, formatRatio } from "./format.ts";
import { disturbance, formatLimit, formatThresholdFigure } from "./terminal.ts";

/** Id of the server that does the least that a server can. */
const FLOOR = "epoll";

/**
 * Formats the scenarios that compare servers, a row for each, and the outcome of the thresholds.
 *
 * @param thresholds the thresholds to show
 */
export function markdownReport(result: SuiteResult, thresholds: readonly Threshold[]): string {
  const scenarios = result.scenarios.filter(({ switchboardOnly }) => !switchboardOnly);
  const titles = new Map(scenarios.flatMap(({ variants }) => variants.map(({ id, title }) => [id, title] as const)));
  const { environment, settings } = result;
  const versions = Object.entries(environment.versions).map(([id, version]) => `${id} ${version}`);
  const parts = [
    `${environment.date.slice(0, 16)}, ${environment.cpu}, ${environment.kernel}, ${versions.join(", ")}; medians of ${settings.rounds} rounds of ${settings.seconds} s.`,
    table(
      ["", ...titles.values()],
      scenarios.map((scenario) => [
        `${scenario.title}, ${figureName(scenario)}`,
        ...[...titles.keys()].map((id) => figureOf(scenario, id)),
      ]),
    ),
    table(
      ["bar", "measured", "range", "limit", "the floor in C", ""],
      checkThresholds(result, thresholds).map(({ threshold, title, figure, range, verdict }) => [
        title,
        formatThresholdFigure(threshold, figure),
        range === undefined ? "" : range.map((end) => formatThresholdFigure(threshold, end)).join(" to "),
        formatLimit(threshold),
        floorOf(result, threshold),
        verdict,
      ]),
    ),
    disturbance(result),
    ...result.missing.map(({ title, reason }) => `${title} took no part: ${reason}`),
  ];
  return `${parts.filter((part) => part !== undefined).join("\n\n")}\n`;
}

function figureOf(scenario: ScenarioResult, id: string): string {
  const summary = summarize(scenario).find((candidate) => candidate.id === id);
  if (summary === undefined) return "";
  const figure = formatFigure(scenario.primary, summary.figures[scenario.primary]?.median);
  return summary.failures.length === 0 ? figure : `${figure} (failed ${summary.failures.length}×)`;
}

/** Formats what the server in C has in place of the variant: where this is above the limit, the kernel alone is. */
function floorOf({ scenarios }: SuiteResult, { scenario: id, metric, against }: Threshold): string {
  const scenario = scenarios.find((candidate) => candidate.id === id);
  if (scenario === undefined || against === undefined || against === FLOOR) return "";
  const ratio = ratioOf(scenario, metric, FLOOR, against);
  return ratio === undefined ? "" : formatRatio(ratio.median);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`.replaceAll(/ {2,}/g, " ");
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
