/**
 * The official client in a real browser, on a page of another origin, where nothing but SSE or HTTP streams get
 * through.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { INSECURE, startTestServer } from "../server/support/server.ts";
import { projectFolder } from "./support/process.ts";
import { isExecutable, isMissing } from "./support/programs.ts";

const CHROMIUM = process.env["CHROMIUM"] || "/usr/bin/chromium";
const missing = isMissing(CHROMIUM, isExecutable(CHROMIUM), "apt-get install chromium, or set CHROMIUM to its path");

const script = (build: string) => readFileSync(join(projectFolder, `node_modules/centrifuge/dist/${build}.js`), "utf8");

/** Serves an empty page with the client's own build for browsers. Returns the page's origin. */
async function servePage(build: string): Promise<string> {
  const server = createServer((request, response) => {
    const isScript = request.url === "/client.js";
    response.setHeader("Content-Type", isScript ? "text/javascript; charset=utf-8" : "text/html; charset=utf-8");
    response.end(isScript ? script(build) : '<!doctype html><title>page</title><script src="/client.js"></script>');
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Runs in the page: connects, and keeps what the client hears in `heard`. */
const CONNECT = `({ url, transport, isBinary }) => {
  const client = new Centrifuge([{ transport, endpoint: url + "/connection/" + transport }], {
    emulationEndpoint: url + "/emulation",
    minReconnectDelay: 10,
    maxReconnectDelay: 10,
  });
  const text = (data) => (isBinary ? new TextDecoder().decode(data) : JSON.stringify(data));
  window.heard = [];
  window.client = client;
  client.on("connected", () => heard.push("connected"));
  client.on("error", ({ error }) => heard.push("error " + error.message));
  const news = client.newSubscription("news");
  news.on("publication", ({ data }) => heard.push(text(data)));
  news.on("subscribed", () => heard.push("subscribed"));
  news.subscribe();
  client.connect();
}`;

describe.skipIf(missing)("the official client in Chromium", () => {
  let browser: Browser;

  beforeAll(async () => {
    const args = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"];
    browser = await chromium.launch({ executablePath: CHROMIUM, args });
  });

  afterAll(() => browser.close());

  async function open(origin: string): Promise<Page> {
    const context = await browser.newContext();
    onTestFinished(() => context.close());
    const page = await context.newPage();
    await page.goto(origin);
    return page;
  }

  const heardBy = (page: Page): Promise<string[]> => page.evaluate("heard");

  it.each([
    { transport: "sse", build: "centrifuge", isBinary: false },
    { transport: "http_stream", build: "centrifuge", isBinary: false },
    { transport: "http_stream", build: "centrifuge.protobuf", isBinary: true },
  ])("$build over $transport: subscribes, publishes, comes back", async ({ transport, build, isBinary }) => {
    const origin = await servePage(build);
    const client = { ...INSECURE.client, allowed_origins: [origin] };
    const { url, board } = await startTestServer({ ...INSECURE, client });
    const page = await open(origin);
    await page.evaluate(`(${CONNECT})(${JSON.stringify({ url, transport, isBinary })})`);
    await vi.waitFor(async () => expect(await heardBy(page)).toEqual(["connected", "subscribed"]));

    const payload = isBinary ? `new TextEncoder().encode('{"text":"ü"}')` : `{ text: "ü" }`;
    await page.evaluate(`client.publish("news", ${payload})`);
    await vi.waitFor(async () => expect(await heardBy(page)).toContain('{"text":"ü"}'));

    const [connection] = (await board.connections()).connections;
    if (connection === undefined) throw new Error("there is no connection");
    await board.disconnect(connection.address, 3011, "force reconnect");
    await vi.waitFor(async () => expect((await heardBy(page)).slice(3)).toEqual(["connected", "subscribed"]));

    await page.close();
    await vi.waitFor(() => expect(board.stats().connections).toBe(0));
  });

  it.each(["sse", "http_stream"])("%s lets in no page of another origin", async (transport) => {
    const origin = await servePage("centrifuge");
    const client = { ...INSECURE.client, allowed_origins: ["https://example.com"] };
    const { url, board } = await startTestServer({ ...INSECURE, client });
    const page = await open(origin);
    await page.evaluate(`(${CONNECT})(${JSON.stringify({ url, transport, isBinary: false })})`);
    await vi.waitFor(async () => expect(await heardBy(page)).toContain("error transport closed"));
    expect(await heardBy(page)).not.toContain("connected");
    expect(board.stats().upgrades.accepted).toBe(0);
  });
});
