/** The closing table of `switchboard bench`. */
import { styleText } from "node:util";
import type { LoadReport } from "../load/report.ts";

type Row = readonly string[];

/** Formats a report for people, in the manner of load generators for HTTP. Colours it if `out` is a terminal. */
export function closingTable(report: LoadReport, out: NodeJS.WriteStream): string {
  const paint = (style: "bold" | "dim" | "red" | "yellow", text: string): string =>
    styleText(style, text, { stream: out });
  const { options, messages, bytes, connections, latency, load } = report;
  const loop = options.rate === undefined ? `${options.inflight} in flight` : `${count(options.rate)} messages/s`;
  const lines = [
    paint("bold", `${report.scenario} of ${options.bytes} B on ${report.url}`),
    paint("dim", `${count(options.connections)} connections, ${loop}, ${report.seconds.toFixed(1)} s`),
    "",
  ];
  const perSecond = (bytesCount: number): string => `${size(bytesCount / report.seconds)}/s`;
  if (!load.bottleneck && latency.counts.length > 0) {
    const { mean, p50, p90, p99, p999, max } = latency;
    const what = report.scenario === "storm" ? "connections" : "messages";
    lines.push(
      ...table(
        ["", "mean", "50 %", "90 %", "99 %", "99.9 %", "max"],
        [["latency", ...[mean, p50, p90, p99, p999, max].map(duration)]],
        paint,
      ),
      "",
      ...table(
        ["", what, `${what}/s`, "bytes/s"],
        [
          ["sent", count(messages.sent), count(messages.sent / report.seconds), perSecond(bytes.sent)],
          ["received", count(messages.received), count(report.perSecond), perSecond(bytes.received)],
        ],
        paint,
      ),
      "",
    );
  }
  const bad = (many: number, what: string): string => {
    const text = `${count(many)} ${what}`;
    return many > 0 ? paint("red", text) : text;
  };
  lines.push(
    `connections  ${count(connections.opened)} opened, ${bad(connections.failed, "failed")}, ${bad(connections.closed, "closed by the server")}`,
    `replies      ${bad(messages.lost, "lost")}, ${bad(messages.wrong, "wrong")}`,
    `this load    ${load.threads} ${load.threads === 1 ? "thread" : "threads"}, ${Math.round(load.busy * 100)} % busy, ${load.cpuSeconds.toFixed(2)} s of CPU`,
  );
  for (const error of report.errors) lines.push(paint("red", `error: ${error}`));
  for (const warning of report.warnings) lines.push(paint("yellow", warning));
  return `${lines.join("\n")}\n`;
}

function table(head: Row, rows: readonly Row[], paint: (style: "bold" | "dim", text: string) => string): string[] {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => (row[column] ?? "").length)));
  const format = (row: Row): string =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("   ");
  return [paint("dim", format(head)), ...rows.map(format)];
}

function count(value: number): string {
  return value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 });
}

/** Formats a time with three significant digits and a fitting unit. */
function duration(micros: number): string {
  if (micros < 1e3) return `${significant(micros)} µs`;
  return micros < 1e6 ? `${significant(micros / 1e3)} ms` : `${significant(micros / 1e6)} s`;
}

function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1e3 && unit < units.length - 1) {
    value /= 1e3;
    unit++;
  }
  return `${significant(value)} ${units[unit]}`;
}

function significant(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
