/**
 * What the charts look like, as options for ECharts. Runs here, for pictures, and in the report's page, for charts that answer the mouse: so it
 * imports nothing but types, and takes plain data.
 */
import type {
  CustomSeriesRenderItemAPI,
  CustomSeriesRenderItemParams,
  CustomSeriesRenderItemReturn,
  EChartsOption,
} from "echarts";

export interface Point {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Costs as multiples of one contestant's. */
export interface MultiplesData {
  readonly reference: string;
  readonly rows: readonly { readonly title: string; readonly note: string }[];
  readonly series: readonly {
    readonly title: string;
    readonly color: string;
    readonly points: readonly (Point & { readonly row: number })[];
  }[];
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

/** A chart, and how high it is in px. */
export interface Chart {
  readonly option: EChartsOption;
  readonly height: number;
}

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";
const INK = "#0f172a";
const QUIET = "#64748b";
const LINES = "#e2e8f0";
const LANE = 17;
const ROW_GAP = 18;
const BASE: EChartsOption = {
  animation: false,
  backgroundColor: "#ffffff",
  textStyle: { fontFamily: FONT, color: INK },
};

type RenderItem = (
  params: CustomSeriesRenderItemParams,
  api: CustomSeriesRenderItemAPI,
) => CustomSeriesRenderItemReturn;

export function multiplesChart({ reference, rows, series }: MultiplesData): Chart {
  // Each row is as high as it has bars.
  const lanes = rows.map((_, row) => series.filter(({ points }) => points.some((point) => point.row === row)));
  const tops: number[] = [];
  let total = 0;
  for (const inRow of lanes) {
    tops.push(total);
    total += inRow.length * LANE + ROW_GAP;
  }
  const values = series.flatMap(({ points }) => points.flatMap(({ min, max }) => [min, max]));
  const top = 92;
  const name = (ratio: number): string => `${ratio.toFixed(ratio < 0.1 ? 3 : ratio < 10 ? 2 : 0)}×`;
  const [least, most] = [Math.log2(Math.min(0.7, ...values) / 1.5), Math.log2(Math.max(1.5, ...values) * 1.5)];
  const octaves = most - least > 8 ? 2 : 1;
  return {
    height: top + total + 46,
    option: {
      ...BASE,
      title: {
        text: `CPU and memory as multiples of ${reference}'s`,
        subtext: `to the right of the line: costs more than ${reference}; thin lines: smallest and largest of all rounds`,
        left: 16,
        top: 10,
        textStyle: { fontSize: 17, color: INK, fontFamily: FONT },
        subtextStyle: { fontSize: 12, color: QUIET },
      },
      legend: {
        left: 12,
        top: 60,
        itemWidth: 12,
        itemHeight: 12,
        itemGap: 24,
        icon: "roundRect",
        textStyle: { fontSize: 12.5 },
      },
      grid: { left: 262, right: 24, top, height: total },
      tooltip: { trigger: "item" },
      xAxis: {
        type: "log",
        // Steps of one or two octaves that 1 is one of.
        min: 4 ** Math.floor(least / 2),
        max: 4 ** Math.ceil(most / 2),
        interval: octaves,
        logBase: 2,
        axisLabel: {
          formatter: (value: number) => (value === 1 ? `${reference} = 1×` : `${Number(value.toPrecision(2))}×`),
          color: QUIET,
          fontSize: 12,
        },
        splitLine: { lineStyle: { color: LINES } },
        axisLine: { show: false },
        minorTick: { show: false },
      },
      yAxis: { type: "value", min: 0, max: total, inverse: true, show: false },
      series: [
        {
          type: "custom",
          silent: true,
          tooltip: { show: false },
          data: rows.map((_, row) => [1, tops[row] ?? 0]),
          renderItem: (({ dataIndex }, api) => {
            const row = rows[dataIndex];
            const height = (lanes[dataIndex]?.length ?? 0) * LANE + ROW_GAP;
            const [, y = 0] = api.coord([1, tops[dataIndex] ?? 0]);
            const text = (content: string, dy: number, size: number, fill: string) => ({
              type: "text" as const,
              x: 248,
              y: y + height / 2 + dy,
              style: {
                text: content,
                align: "right" as const,
                verticalAlign: "middle" as const,
                fill,
                font: `${size}px ${FONT}`,
              },
            });
            return {
              type: "group",
              children: [
                text(row?.title ?? "", -8, 13, INK),
                text(row?.note ?? "", 9, 11.5, QUIET),
                {
                  type: "line",
                  shape: { x1: 16, x2: api.getWidth() - 16, y1: y + height, y2: y + height },
                  style: { stroke: LINES },
                },
              ],
            };
          }) satisfies RenderItem,
        },
        ...series.map(({ title, color, points }) => ({
          type: "custom" as const,
          name: title,
          color,
          data: points.map(({ median, row }) => [median, row]),
          tooltip: {
            formatter: (item: unknown) => {
              const point = points[(item as { dataIndex: number }).dataIndex];
              if (point === undefined) return "";
              return `<b>${title}</b>, ${rows[point.row]?.title}<br>${name(point.median)} (${name(point.min)} to ${name(point.max)}) of ${reference}`;
            },
          },
          renderItem: (({ dataIndex }, api) => {
            const point = points[dataIndex];
            if (point === undefined) return null;
            const lane = lanes[point.row]?.findIndex((one) => one.title === title) ?? 0;
            const at = (tops[point.row] ?? 0) + ROW_GAP / 2 + lane * LANE + LANE / 2;
            const pixels = (ratio: number): number => api.coord([ratio, at])[0] ?? 0;
            const y = api.coord([1, at])[1] ?? 0;
            const [one, median, min, max] = [pixels(1), pixels(point.median), pixels(point.min), pixels(point.max)];
            return {
              type: "group",
              children: [
                {
                  type: "rect",
                  shape: {
                    x: Math.min(one, median),
                    y: y - 5,
                    width: Math.max(2, Math.abs(median - one)),
                    height: 10,
                    r: 2,
                  },
                  style: { fill: color },
                },
                {
                  type: "line",
                  shape: { x1: min, x2: max, y1: y, y2: y },
                  style: { stroke: INK, lineWidth: 1, opacity: 0.65 },
                },
                {
                  type: "text",
                  x: point.median < 1 ? Math.min(median, min) - 5 : Math.max(median, max) + 5,
                  y,
                  style: {
                    text: name(point.median),
                    align: point.median < 1 ? "right" : "left",
                    verticalAlign: "middle",
                    fill: INK,
                    font: `11.5px ${FONT}`,
                  },
                },
              ],
            };
          }) satisfies RenderItem,
        })),
        {
          type: "line",
          silent: true,
          data: [],
          markLine: {
            silent: true,
            symbol: "none",
            label: { show: false },
            lineStyle: { color: INK, type: "solid", width: 1.5 },
            data: [{ xAxis: 1 }],
          },
        },
      ],
    },
  };
}

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
          const [min, max] = [bar.min, bar.max].map((value) => Number(value.toPrecision(4)).toLocaleString("en-US"));
          return `<b>${bar.title}</b>: ${bar.label}<br>rounds from ${min} to ${max}`;
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
          data: bars.map(({ max }, i) => [max, i]),
          renderItem: (({ dataIndex }, api) => {
            const bar = bars[dataIndex];
            if (bar === undefined) return null;
            const [x2 = 0, y = 0] = api.coord([bar.max, dataIndex]);
            const [x1 = 0] = api.coord([bar.min, dataIndex]);
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
  // So that each nine more takes the same room.
  const place = (part: number): number => -Math.log10(1 - part);
  const percent = (value: number): string => `${Number(((1 - 10 ** -value) * 100).toPrecision(6))} %`;
  const time = (micros: number): string =>
    micros < 1000 ? `${Math.round(micros)} µs` : `${Number((micros / 1000).toPrecision(3))} ms`;
  return {
    height: 300,
    option: {
      ...BASE,
      title: {
        text: "latency that so many messages don't exceed",
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
