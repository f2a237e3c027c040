/**
 * The deploy demo, `npm run deploy-demo`: a page with live counters in a real Chromium, whose server is replaced five
 * times by a new version, by `switchboard run` and SIGHUP. Prints a table of the pauses, and writes a chart.
 *
 *     npm run deploy-demo [-- --versions 5] [--seconds 2] [--show]
 *
 * `--show` opens a window, where there is a screen. CHROMIUM is the path of the browser. Exit code 1 if a message was
 * lost or doubled, or a connection closed. Linux and a Node with `node:ffi`.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type Browser, chromium, type Page } from "playwright-core";
import { drawSvg } from "../report/svg.ts";
import { deployChart } from "./chart.ts";
import { Releases } from "./releases.ts";
import { longestQuietMs, replacements, type Seen } from "./seen.ts";
import { Supervised } from "./supervised.ts";

const { values } = parseArgs({
  options: {
    versions: { type: "string", default: "5" },
    seconds: { type: "string", default: "2" },
    show: { type: "boolean", default: false },
  },
});
const versions = Number(values.versions);
const folder = join(import.meta.dirname, "../../artifacts/deploy-demo");
const WIDTH = 900;

const releases = new Releases(join(folder, "releases"));
releases.deploy(1);
const server = Supervised.start(["current/server.ts"], join(folder, "releases"));
const browser = await chromium.launch({
  executablePath: process.env["CHROMIUM"] || "/usr/bin/chromium",
  headless: !values.show,
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
});
try {
  const seen = await watchDeploys(browser);
  mkdirSync(folder, { recursive: true });
  const svg = drawSvg(deployChart(seen), WIDTH);
  writeFileSync(join(folder, "chart.svg"), svg);
  await paint(browser, svg);
  printTable(seen);
  if (seen.wrong > 0 || seen.closed > 0) process.exitCode = 1;
} finally {
  await browser.close();
  await server.stop();
}

/** Opens the page, and replaces the server again and again. */
async function watchDeploys(browser: Browser): Promise<Seen> {
  const [, port] = await server.prints(/version 1 listens on (\d+)/);
  const page = await browser.newPage({ viewport: { width: WIDTH, height: 560 }, deviceScaleFactor: 2 });
  await page.goto(`http://127.0.0.1:${port}/`);
  await showsVersion(page, 1);
  await delay(Number(values.seconds) * 1_000);
  for (let version = 2; version <= versions + 1; version++) {
    releases.deploy(version);
    await server.replace();
    await showsVersion(page, version);
    await delay(Number(values.seconds) * 1_000);
    console.error(`version ${version} serves`);
  }
  await page.screenshot({ path: join(folder, "page.png") });
  const seen = (await page.evaluate("seen")) as Seen;
  await page.close();
  return seen;
}

/** Resolves when all connections of the page are served by a version. */
async function showsVersion(page: Page, version: number): Promise<void> {
  await page.locator("#version").getByText(String(version), { exact: true }).waitFor();
}

/** Writes the chart as a picture, too. */
async function paint(browser: Browser, svg: string): Promise<void> {
  const page = await browser.newPage({ viewport: { width: WIDTH, height: 400 }, deviceScaleFactor: 2 });
  await page.setContent(`<body style="margin:0">${svg}</body>`);
  await page.locator("svg").screenshot({ path: join(folder, "chart.png") });
}

function printTable(seen: Seen): void {
  const ms = (value = 0): string => `${value.toFixed(0)} ms`;
  console.log("| replacement | connections | pause: shortest | median | longest |");
  console.log("| --- | --- | --- | --- | --- |");
  for (const { version, pausesMs } of replacements(seen)) {
    const median = pausesMs[Math.floor(pausesMs.length / 2)];
    const row = [
      `version ${version - 1} to ${version}`,
      pausesMs.length,
      ms(pausesMs[0]),
      ms(median),
      ms(pausesMs.at(-1)),
    ];
    console.log(`| ${row.join(" | ")} |`);
  }
  console.log(
    `\nA pause is the time between two messages; the server sends one every 10 ms. Without a replacement: at most ${ms(longestQuietMs(seen))}.`,
  );
  console.log(
    `${seen.messages.length.toLocaleString("en")} messages, ${seen.wrong} lost or doubled, ${seen.closed} disconnects.`,
  );
  for (const name of ["chart.svg", "chart.png", "page.png"]) console.log(relative(process.cwd(), join(folder, name)));
}
