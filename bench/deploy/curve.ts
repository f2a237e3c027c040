/** The chart of the scenario `deploy`: how long clients have waited for an answer, around the moment of the deploy. */
import type { EChartsOption } from "echarts";
import { BASE, type Chart, FONT, INK, LINES, QUIET } from "../report/charts.ts";
import type { ClientsSeen } from "./clients.ts";

/** Time between two points of the curve, in ms. */
const STEP_MS = 20;

/** Time since the last answer at one moment, in ms. */
export interface Wait {
  /** Time from the deploy on, in ms. */
  readonly at: number;
  /** Of the median client. */
  readonly median: number;
  /** Of the client that only one in a hundred waits longer than. */
  readonly p99: number;
}

export interface Curve {
  readonly title: string;
  readonly color: string;
  readonly waits: readonly Wait[];
}

/** The waits from `fromMs` to `toMs`, both from the deploy on. */
export function waitsOf({ answers }: ClientsSeen, deployAt: number, fromMs: number, toMs: number): Wait[] {
  const last = new Map<number, number>();
  const waits: Wait[] = [];
  let next = 0;
  for (let at = fromMs; at <= toMs; at += STEP_MS) {
    const now = deployAt + at;
    for (let answer = answers[next]; answer !== undefined && answer[1] <= now; answer = answers[++next]) {
      last.set(...answer);
    }
    const ages = Float64Array.from(last.values(), (then) => now - then).sort();
    const quantile = (part: number): number => ages[Math.floor(part * ages.length)] ?? 0;
    waits.push({ at, median: quantile(0.5), p99: quantile(0.99) });
  }
  return waits;
}

export function curveChart(curves: readonly Curve[], clients: number): Chart {
  const height = 260;
  const moments = curves.flatMap(({ waits }) => waits.map(({ at }) => at));
  const option: EChartsOption = {
    ...BASE,
    title: {
      text: `${clients.toLocaleString("en")} clients while their server is replaced`,
      subtext:
        "Time since the last answer: median client (thick), slowest of a hundred (thin). All send ten messages a second.",
      left: 12,
      top: 8,
      itemGap: 6,
      textStyle: { fontSize: 16, color: INK, fontFamily: FONT },
      subtextStyle: { fontSize: 13, color: QUIET },
    },
    legend: {
      left: 12,
      top: 60,
      itemWidth: 18,
      itemGap: 40,
      icon: "rect",
      itemHeight: 4,
      textStyle: { fontSize: 13, color: INK },
      data: curves.map(({ title }) => title),
    },
    grid: { left: 66, right: 24, top: 104, height },
    xAxis: {
      type: "value",
      min: Math.min(...moments) / 1_000,
      max: Math.max(...moments) / 1_000,
      name: "seconds from the command to deploy",
      nameLocation: "middle",
      nameGap: 28,
      nameTextStyle: { fontSize: 13, color: QUIET },
      axisLabel: { fontSize: 12.5, color: QUIET },
      axisLine: { lineStyle: { color: QUIET } },
      splitLine: { show: false },
    },
    yAxis: {
      type: "value",
      min: 0,
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { fontSize: 12.5, color: QUIET, formatter: (ms: number) => `${ms / 1_000} s` },
      splitLine: { lineStyle: { color: LINES } },
    },
    series: curves.flatMap(({ title, color, waits }) =>
      (["median", "p99"] as const).map((part) => ({
        name: title,
        type: "line" as const,
        symbol: "none",
        color,
        lineStyle: part === "median" ? { width: 2.5 } : { width: 1, opacity: 0.7 },
        data: waits.map((wait) => [wait.at / 1_000, Math.round(wait[part])]),
        ...(part === "median" && {
          markLine: {
            symbol: "none",
            silent: true,
            lineStyle: { color: QUIET, type: "dashed" as const, width: 1 },
            label: { show: false },
            data: [{ xAxis: 0 }],
          },
        }),
      })),
    ),
  };
  return { option, height: height + 104 + 58 };
}
