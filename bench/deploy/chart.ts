/** The chart of the deploy demo: messages in each 50 ms, in the colour of the version that sent them. */
import type { EChartsOption } from "echarts";
import { BASE, type Chart, FONT, INK, LINES, QUIET } from "../report/charts.ts";
import { BUCKET_MS, buckets, replacements, type Seen, startOf } from "./seen.ts";

/** The colours of the page. */
const COLORS = ["#2563eb", "#d97706", "#059669", "#7c3aed", "#dc2626", "#0891b2"];

export function deployChart(seen: Seen): Chart {
  const start = startOf(seen.messages);
  const counts = buckets(seen);
  const changes = replacements(seen).map((one) => ({ ...one, second: (one.at - start) / 1_000 }));
  const versionAt = (second: number): number => changes.findLast((change) => change.second <= second)?.version ?? 1;
  const data = counts.map((count, index) => {
    const second = (index * BUCKET_MS) / 1_000;
    // The bucket belongs to the version that was there at its end.
    const color = COLORS[(versionAt(second + BUCKET_MS / 1_000) - 1) % COLORS.length] as string;
    return { value: [second + BUCKET_MS / 2_000, count], itemStyle: { color } };
  });
  const seconds = (counts.length * BUCKET_MS) / 1_000;
  const connections = new Set(seen.messages.map(([connection]) => connection)).size;
  const height = 230;
  const option: EChartsOption = {
    ...BASE,
    title: {
      text: `${connections} WebSockets of one browser while their server was replaced ${changes.length} times`,
      subtext: `Messages received in each ${BUCKET_MS} ms. ${seen.wrong} lost or doubled, ${seen.closed} disconnects. Above: the longest pause of a connection.`,
      left: 12,
      top: 8,
      itemGap: 6,
      textStyle: { fontSize: 16, color: INK, fontFamily: FONT },
      subtextStyle: { fontSize: 13, color: QUIET },
    },
    grid: { left: 56, right: 20, top: 112, height },
    xAxis: {
      type: "value",
      min: 0,
      max: seconds,
      name: "seconds",
      nameLocation: "middle",
      nameGap: 28,
      nameTextStyle: { fontSize: 13, color: QUIET },
      axisLabel: { fontSize: 12.5, color: QUIET, showMaxLabel: false },
      axisLine: { lineStyle: { color: QUIET } },
      splitLine: { show: false },
    },
    yAxis: {
      type: "value",
      min: 0,
      axisLabel: { fontSize: 12.5, color: QUIET },
      splitLine: { lineStyle: { color: LINES } },
    },
    series: [
      {
        type: "bar",
        barWidth: Math.max(1, 780 / counts.length - 0.4),
        data,
        markLine: {
          symbol: "none",
          silent: true,
          lineStyle: { color: INK, type: "dashed", width: 1 },
          label: { fontSize: 12, color: INK, lineHeight: 16, position: "end", distance: 6 },
          data: changes.map(({ version, second, pausesMs }) => ({
            xAxis: second,
            label: { formatter: `version ${version}\n${(pausesMs.at(-1) ?? 0).toFixed(0)} ms` },
          })),
        },
      },
    ],
  };
  return { option, height: height + 112 + 58 };
}
