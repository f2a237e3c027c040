/** The first five minutes of the main README: a page in Chromium receives what curl publishes. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { chromium } from "playwright-core";
import { expect, it, onTestFinished } from "vitest";
import { switchboard } from "../cli/program.ts";
import { projectFolder, run } from "../e2e/support/process.ts";
import { isExecutable, isMissing } from "../e2e/support/programs.ts";
import { codeBlocks, readReadme } from "../support/readme.ts";

const CHROMIUM = process.env["CHROMIUM"] || "/usr/bin/chromium";
const missing = isMissing(CHROMIUM, isExecutable(CHROMIUM), "apt-get install chromium, or set CHROMIUM to its path");
/** The script that the page loads from the net, and where it is here. */
const SCRIPT = "https://unpkg.com/centrifuge@5/dist/centrifuge.js";

function example(language: string, part: string): string {
  const found = codeBlocks(readReadme("README.md")).find((one) => one.language === language && one.code.includes(part));
  if (found === undefined) throw new Error(`the README has no ${part}`);
  return found.code;
}

it.skipIf(missing)("shows in a browser what curl publishes, as the README says", async () => {
  const server = switchboard("serve", "--port", "0");
  const [, host = ""] = await server.prints(/ws:\/\/(localhost:\d+)/);
  const [, token = ""] = await server.prints(/const token = "(.+)"/);
  const [, key = ""] = await server.prints(/http_api\.key +(\S+)/);

  const html = example("html", "centrifuge").replace("TOKEN", token).replace("localhost:8000", host);
  const pages = createServer((_, response) => response.setHeader("Content-Type", "text/html").end(html));
  pages.listen(0, "localhost");
  await once(pages, "listening");
  onTestFinished(() => void pages.close());
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
  });
  onTestFinished(() => browser.close());
  const page = await browser.newPage();
  const script = readFileSync(`${projectFolder}node_modules/centrifuge/dist/centrifuge.js`, "utf8");
  await page.route(SCRIPT, (route) => route.fulfill({ contentType: "text/javascript", body: script }));
  // The first frame answers the connect command with the subscription of the token.
  const subscribed = new Promise((resolve) => page.on("websocket", (socket) => socket.once("framereceived", resolve)));
  await page.goto(`http://localhost:${(pages.address() as AddressInfo).port}`);
  await subscribed;

  const [serve, publish = ""] = example("sh", "npx switchboard serve").split("\n");
  expect(serve).toMatch(/^npx switchboard serve #/);
  const curl = publish.replace("KEY", key).replace("localhost:8000", host);
  expect(JSON.parse((await run("sh", ["-c", curl])).stdout)).toEqual({ result: {} });
  await page.getByText("news: hello").waitFor();
});
