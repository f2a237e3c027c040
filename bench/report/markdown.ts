/** The report as Markdown tables, for README.md: the figures of all servers, and the thresholds. */
import { kernelShareOf, type ScenarioResult, type SuiteResult, summarize } from "../results.ts";
import { checkThresholds, type Threshold } from "../thresholds.ts";
import { figureName, formatFigure, formatPercent, formatSettings } from "./format.ts";
import { formatLimit, formatThresholdFigure, formatVerdict, remarks } from "./terminal.ts";

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
    `${environment.date.slice(0, 16)}, ${environment.cpu}, ${environment.kernel}, ${versions.join(", ")}; medians of ${formatSettings(settings)}. In parentheses: the part of the CPU that the kernel took.`,
    table(
      ["", ...titles.values()],
      scenarios.map((scenario) => [
        `${scenario.title}, ${figureName(scenario)}`,
        ...[...titles.keys()].map((id) => figureOf(scenario, id)),
      ]),
    ),
    table(
      ["bar", "measured", "interval", "limit", "its kernel time", "C's kernel time", "C in all", "bare transport", ""],
      checkThresholds(result, thresholds).map((check) => {
        const { threshold, title, figure, interval, floors } = check;
        const format = (value: number | undefined): string => formatThresholdFigure(threshold, value);
        return [
          title,
          format(figure),
          interval === undefined ? "" : interval.map(format).join(" to "),
          formatLimit(threshold),
          format(floors?.kernel),
          format(floors?.cKernel),
          format(floors?.c),
          format(floors?.bare),
          formatVerdict(check),
        ];
      }),
    ),
    "The last columns before the verdict: time of the measured server in the kernel alone, that of the epoll server in C, the whole CPU of the latter, and that of a server with nothing above the transport of io_uring, each divided by the whole CPU of the server that the bar compares with.",
    ...remarks(result),
    ...result.missing.map(({ title, reason }) => `${title} took no part: ${reason}`),
  ];
  return `${parts.filter((part) => part !== undefined).join("\n\n")}\n`;
}

function figureOf(scenario: ScenarioResult, id: string): string {
  const summary = summarize(scenario).find((candidate) => candidate.id === id);
  if (summary === undefined) return "";
  const share =
    scenario.primary === "cpuMicros" ? kernelShareOf(scenario.variants.find((one) => one.id === id)) : undefined;
  const kernel = share === undefined ? "" : ` (${formatPercent(share)})`;
  const figure = `${formatFigure(scenario.primary, summary.figures[scenario.primary]?.median)}${kernel}`;
  return summary.failures.length === 0 ? figure : `${figure} (failed ${summary.failures.length}×)`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`.replaceAll(/ {2,}/g, " ");
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
