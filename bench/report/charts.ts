/**
 * The looks of the charts, as options for ECharts. This code draws pictures in Node, and interactive charts in the
 * report's page. So the file imports only types, and its functions take plain data.
 */
import type {
  CustomSeriesRenderItemAPI,
  CustomSeriesRenderItemParams,
  CustomSeriesRenderItemReturn,
  EChartsOption,
} from "echarts";

export interface Point {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export interface BarsData {
  readonly name: string;
  readonly lessIsBetter: boolean;
  readonly bars: readonly (Point & { readonly title: string; readonly color: string; readonly label: string })[];
}

export interface CurvesData {
  readonly curves: readonly {
    readonly title: string;
    readonly color: string;
    readonly points: readonly { readonly part: number; readonly micros: number }[];
  }[];
}

/** A chart, with its height in pixels. */
export interface Chart {
  readonly option: EChartsOption;
  readonly height: number;
}

export const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";
export const INK = "#0f172a";
export const QUIET = "#64748b";
export const LINES = "#e2e8f0";
export const BASE: EChartsOption = {
  animation: false,
  backgroundColor: "#ffffff",
  textStyle: { fontFamily: FONT, color: INK },
};

export type RenderItem = (
  params: CustomSeriesRenderItemParams,
  api: CustomSeriesRenderItemAPI,
) => CustomSeriesRenderItemReturn;

export function barsChart({ name, lessIsBetter, bars }: BarsData): Chart {
  const height = bars.length * 30;
  return {
    height: height + 62,
    option: {
      ...BASE,
      title: {
        text: name,
        subtext: lessIsBetter ? "less is better" : "more is better",
        left: 8,
        top: 0,
        itemGap: 7,
        textStyle: { fontSize: 13.5, color: INK, fontFamily: FONT },
        subtextStyle: { fontSize: 11.5, color: QUIET },
      },
      tooltip: {
        trigger: "item",
        formatter: (item: unknown) => {
          const bar = bars[(item as { dataIndex: number }).dataIndex];
          if (bar === undefined) return "";
          const [low, high] = [bar.low, bar.high].map((value) => Number(value.toPrecision(4)).toLocaleString("en-US"));
          return `<b>${bar.title}</b>: ${bar.label}<br>median from ${low} to ${high}`;
        },
      },
      grid: { left: 128, right: 92, top: 50, height },
      xAxis: {
        type: "value",
        min: 0,
        axisLabel: { show: false },
        splitLine: { show: false },
        axisLine: { show: false },
      },
      yAxis: {
        type: "category",
        inverse: true,
        data: bars.map(({ title }) => title),
        axisTick: { show: false },
        axisLine: { lineStyle: { color: LINES } },
        axisLabel: { color: INK, fontSize: 12.5 },
      },
      series: [
        {
          type: "bar",
          barWidth: 16,
          data: bars.map(({ median, color }) => ({ value: median, itemStyle: { color, borderRadius: [0, 3, 3, 0] } })),
        },
        {
          type: "custom",
          silent: true,
          data: bars.map(({ high }, i) => [high, i]),
          renderItem: (({ dataIndex }, api) => {
            const bar = bars[dataIndex];
            if (bar === undefined) return null;
            const [x2 = 0, y = 0] = api.coord([bar.high, dataIndex]);
            const [x1 = 0] = api.coord([bar.low, dataIndex]);
            const cap = (x: number) => ({
              type: "line" as const,
              shape: { x1: x, x2: x, y1: y - 4, y2: y + 4 },
              style: { stroke: INK, opacity: 0.65 },
            });
            return {
              type: "group",
              children: [
                { type: "line", shape: { x1, x2, y1: y, y2: y }, style: { stroke: INK, opacity: 0.65 } },
                cap(x1),
                cap(x2),
                {
                  type: "text",
                  x: x2 + 7,
                  y,
                  style: { text: bar.label, verticalAlign: "middle", fill: INK, font: `12px ${FONT}` },
                },
              ],
            };
          }) satisfies RenderItem,
        },
      ],
    },
  };
}

export function curvesChart({ curves }: CurvesData): Chart {
  // Each further nine (90 %, 99 %, …) takes the same width.
  const place = (part: number): number => -Math.log10(1 - part);
  const percent = (value: number): string => `${Number(((1 - 10 ** -value) * 100).toPrecision(6))} %`;
  const time = (micros: number): string =>
    micros < 1000 ? `${Math.round(micros)} µs` : `${Number((micros / 1000).toPrecision(3))} ms`;
  return {
    height: 300,
    option: {
      ...BASE,
      title: {
        text: "latency by share of messages",
        subtext: "all rounds together; both scales logarithmic",
        left: 8,
        top: 0,
        itemGap: 7,
        textStyle: { fontSize: 13.5, color: INK, fontFamily: FONT },
        subtextStyle: { fontSize: 11.5, color: QUIET },
      },
      legend: { left: 8, bottom: 0, itemWidth: 14, itemGap: 16, textStyle: { fontSize: 12 } },
      tooltip: {
        trigger: "item",
        formatter: (item: unknown) => {
          const { seriesName, value } = item as { seriesName: string; value: [number, number] };
          return `<b>${seriesName}</b>: ${percent(value[0])} within ${time(value[1])}`;
        },
      },
      grid: { left: 66, right: 24, top: 56, bottom: 72 },
      xAxis: {
        type: "value",
        min: 0,
        interval: 1,
        max: (range: { max: number }) => Math.ceil(range.max),
        axisLabel: { formatter: percent, color: QUIET },
        splitLine: { lineStyle: { color: LINES } },
      },
      yAxis: {
        type: "log",
        min: (range: { min: number }) => 10 ** Math.floor(Math.log10(Math.max(1, range.min))),
        axisLabel: { formatter: time, color: QUIET },
        splitLine: { lineStyle: { color: LINES } },
      },
      series: curves.map(({ title, color, points }) => ({
        type: "line" as const,
        name: title,
        color,
        symbolSize: 5,
        lineStyle: { width: 2 },
        data: points.map(({ part, micros }) => [place(part), Math.max(1, micros)]),
      })),
    },
  };
}
