/** The charts as SVG. */
import { init } from "echarts";
import type { SuiteResult } from "../results.ts";
import { multiplesOf } from "./chart-data.ts";
import type { Chart } from "./charts.ts";
import { multiplesChart } from "./multiples-chart.ts";

/** Width of the picture, in pixels. */
const WIDTH = 860;

/** Draws a chart as an SVG document. */
export function drawSvg({ option, height }: Chart, width: number): string {
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height });
  chart.setOption(option);
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

/** Draws the picture for the README: the cost of each server as a multiple of Switchboard's. */
export function chartSvg(result: SuiteResult): string {
  const title = "<title>CPU and memory of other servers as multiples of Switchboard's</title>";
  return drawSvg(multiplesChart(multiplesOf(result)), WIDTH).replace(/^<svg[^>]*>/, (start) => start + title);
}
