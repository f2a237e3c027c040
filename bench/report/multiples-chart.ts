/** The chart of costs as multiples of Switchboard's. As `charts.ts`, this code also runs in the report's page. */
import { BASE, type Chart, FONT, INK, LINES, type Point, QUIET, type RenderItem } from "./charts.ts";

/** Costs as multiples of the reference server's. */
export interface MultiplesData {
  readonly reference: string;
  readonly rows: readonly { readonly title: string; readonly note: string }[];
  readonly series: readonly {
    readonly title: string;
    readonly color: string;
    readonly points: readonly (Point & { readonly row: number })[];
  }[];
}

/** Heights in pixels: of a bar's lane, and of the gap between rows. */
const LANE = 17;
const ROW_GAP = 18;

export function multiplesChart({ reference, rows, series }: MultiplesData): Chart {
  // Each row has one lane for each of its bars.
  const lanes = rows.map((_, row) => series.filter(({ points }) => points.some((point) => point.row === row)));
  const tops: number[] = [];
  let total = 0;
  for (const inRow of lanes) {
    tops.push(total);
    total += inRow.length * LANE + ROW_GAP;
  }
  const values = series.flatMap(({ points }) => points.flatMap(({ low, high }) => [low, high]));
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
        // Steps of one or two octaves, one of which is at 1.
        min: 4 ** Math.floor(least / 2),
        max: 4 ** Math.ceil(most / 2),
        interval: octaves,
        logBase: 2,
        axisLabel: {
          formatter: (value: number) => `${Number(value.toPrecision(2))}×`,
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
              return `<b>${title}</b>, ${rows[point.row]?.title}<br>${name(point.median)} (${name(point.low)} to ${name(point.high)}) of ${reference}`;
            },
          },
          renderItem: (({ dataIndex }, api) => {
            const point = points[dataIndex];
            if (point === undefined) return null;
            const lane = lanes[point.row]?.findIndex((one) => one.title === title) ?? 0;
            const at = (tops[point.row] ?? 0) + ROW_GAP / 2 + lane * LANE + LANE / 2;
            const pixels = (ratio: number): number => api.coord([ratio, at])[0] ?? 0;
            const y = api.coord([1, at])[1] ?? 0;
            const [one, median, low, high] = [pixels(1), pixels(point.median), pixels(point.low), pixels(point.high)];
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
                  shape: { x1: low, x2: high, y1: y, y2: y },
                  style: { stroke: INK, lineWidth: 1, opacity: 0.65 },
                },
                {
                  type: "text",
                  x: point.median < 1 ? Math.min(median, low) - 5 : Math.max(median, high) + 5,
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
