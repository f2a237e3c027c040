/** The official client in a real browser over each transport: cuts, restarts, presence and tokens. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { issueToken } from "../../../src/server/auth/issue-token.ts";
import { projectFolder } from "../../e2e/support/process.ts";
import { isExecutable, isMissing } from "../../e2e/support/programs.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { API_KEY, INSECURE, SECRET, startTestServer } from "../support/server.ts";
import { callApi, TRANSPORTS } from "./clients.ts";

const CHROMIUM = process.env["CHROMIUM"] || "/usr/bin/chromium";
const missing = isMissing(CHROMIUM, isExecutable(CHROMIUM), "apt-get install chromium, or set CHROMIUM to its path");

const script = readFileSync(join(projectFolder, "node_modules/centrifuge/dist/centrifuge.js"), "utf8");

/** Serves an empty page with the client, and tokens at `/token` if the test has some. Returns its origin. */
async function servePage(token: () => string = () => ""): Promise<string> {
  const server = createServer((request, response) => {
    const isScript = request.url === "/client.js";
    response.setHeader("Content-Type", isScript ? "text/javascript; charset=utf-8" : "text/html; charset=utf-8");
    if (request.url === "/token") response.end(token());
    else response.end(isScript ? script : '<!doctype html><title>page</title><script src="/client.js"></script>');
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
const CONNECT = `({ port, transport, hasToken }) => {
  const scheme = transport === "websocket" ? "ws" : "http";
  const base = "://127.0.0.1:" + port;
  const client = new Centrifuge([{ transport, endpoint: scheme + base + "/connection/" + transport }], {
    emulationEndpoint: "http" + base + "/emulation",
    minReconnectDelay: 10,
    maxReconnectDelay: 50,
    ...(hasToken && { getToken: async () => (await fetch("/token")).text() }),
  });
  window.heard = [];
  window.client = client;
  client.on("connecting", ({ code }) => code > 0 && heard.push("connecting " + code));
  client.on("disconnected", ({ code }) => heard.push("disconnected " + code));
  const news = client.newSubscription("news");
  window.news = news;
  news.on("publication", ({ data }) => heard.push(data));
  news.on("subscribed", ({ wasRecovering, recovered }) => heard.push("subscribed" + (wasRecovering ? " " + recovered : "")));
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

  async function open(origin: string, options: object): Promise<Page> {
    const context = await browser.newContext();
    onTestFinished(() => context.close());
    const page = await context.newPage();
    await page.goto(origin);
    await page.evaluate(`(${CONNECT})(${JSON.stringify(options)})`);
    return page;
  }

  const heardBy = (page: Page): Promise<string[]> => page.evaluate("heard");

  it.each(TRANSPORTS)("%s: a page that was cut off gets what it missed, and is present", async (transport) => {
    const server = await startTestServer();
    const proxy = await TcpProxy.start(server.port);
    const page = await open(await servePage(), { port: proxy.port, transport });
    const publish = (data: string) => callApi(server.url, API_KEY, "publish", { channel: "news", data });
    await vi.waitFor(async () => expect(await heardBy(page)).toEqual(["subscribed"]));
    const present = (): Promise<string[]> =>
      page.evaluate("news.presence().then(({ clients }) => Object.keys(clients))");
    expect(await present()).toHaveLength(1);
    await publish("one");
    await vi.waitFor(async () => expect(await heardBy(page)).toContain("one"));
    proxy.cut();
    await vi.waitFor(async () => expect((await heardBy(page)).at(-1)).toMatch(/^connecting/));
    await publish("two");
    await publish("three");
    proxy.mend();
    await vi.waitFor(async () => expect(await heardBy(page)).toContain("three"));
    const heard = (await heardBy(page)).filter((word) => !word.startsWith("connecting"));
    expect(heard).toEqual(["subscribed", "one", "subscribed true", "two", "three"]);
    await vi.waitFor(async () => expect(await present()).toHaveLength(1));
  });

  it.each(TRANSPORTS)("%s: a page goes on with the next server after a restart", async (transport) => {
    const before = await startTestServer();
    const proxy = await TcpProxy.start(before.port);
    const page = await open(await servePage(), { port: proxy.port, transport });
    await vi.waitFor(async () => expect(await heardBy(page)).toEqual(["subscribed"]));
    const after = await startTestServer();
    await before.close();
    proxy.retarget(after.port);
    // The memory of the first server has gone with it.
    await vi.waitFor(async () => expect(await heardBy(page)).toContain("subscribed false"));
    expect(await heardBy(page)).toContain("connecting 3001");
    await callApi(after.url, API_KEY, "publish", { channel: "news", data: "new" });
    await vi.waitFor(async () => expect((await heardBy(page)).at(-1)).toBe("new"));
  });

  it.each(TRANSPORTS)("%s: a page renews a token that expires, and stays", async (transport) => {
    const keys = { hmac_secret_key: SECRET };
    const client = { token: keys, allowed_origins: ["*"] };
    const options = { ...INSECURE.channel.without_namespace, allow_subscribe_for_client: true };
    const server = await startTestServer({ ...INSECURE, client, channel: { without_namespace: options } });
    let tokens = 0;
    let lives = 2;
    const origin = await servePage(() => {
      tokens++;
      const exp = Math.floor(Date.now() / 1_000) + lives;
      return issueToken({ ...noKeys, hmacSecretKey: SECRET }, { user: "42", exp });
    });
    const page = await open(origin, { port: server.port, transport, hasToken: true });
    await vi.waitFor(async () => expect(await heardBy(page)).toContain("subscribed"));
    lives = 3600;
    await vi.waitFor(() => expect(tokens).toBeGreaterThan(1));
    await callApi(server.url, API_KEY, "publish", { channel: "news", data: "still here" });
    await vi.waitFor(async () => expect((await heardBy(page)).at(-1)).toBe("still here"));
    expect(await heardBy(page)).toEqual(["subscribed", "still here"]);
  });
});

const noKeys = {
  hmacPreviousSecretKey: "",
  hmacPreviousSecretKeyValidUntil: 0,
  rsaPublicKey: "",
  ecdsaPublicKey: "",
  jwksPublicEndpoint: "",
  audience: "",
  issuer: "",
  userIdClaim: "sub",
};
