import { availableParallelism } from "node:os";
import { join as joinPath } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startDemo } from "./support/demo.ts";
import { projectFolder } from "./support/process.ts";
import { isExecutable, isMissing } from "./support/programs.ts";

const CHROMIUM = process.env["CHROMIUM"] || "/usr/bin/chromium";
const missing = isMissing(CHROMIUM, isExecutable(CHROMIUM), "apt-get install chromium, or set CHROMIUM to its path");

describe.skipIf(missing)("the demo's page in Chromium", () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    });
  });

  afterAll(() => browser.close());

  async function newContext(): Promise<BrowserContext> {
    const context = await browser.newContext({ viewport: { width: 960, height: 640 } });
    onTestFinished(() => context.close());
    return context;
  }

  /**
   * Opens the page in a new tab, and waits until it has joined.
   *
   * @param name none of the ten names with which a page may begin: others would see that name join, too
   */
  async function join(context: BrowserContext, url: string, name: string): Promise<Page> {
    const page = await context.newPage();
    await enter(page, url, name);
    return page;
  }

  async function enter(page: Page, url: string, name: string): Promise<void> {
    await page.goto(url);
    await page.getByLabel("Your name").fill(name);
    await page.getByLabel("Message", { exact: true }).focus();
    await page
      .getByRole("log")
      .getByText(`${name} joined on`)
      .or(page.getByText(`is now ${name}`))
      .waitFor();
  }

  async function say(page: Page, text: string): Promise<void> {
    await page.getByLabel("Message", { exact: true }).fill(text);
    await page.getByRole("button", { name: "Send" }).click();
  }

  const shardOf = (page: Page): Promise<string | null> => page.locator("#place .shard").textContent();
  const lineWith = (page: Page, text: string) => page.getByRole("log").getByRole("listitem").filter({ hasText: text });

  it("puts two tabs on two shards, and each shows the messages of the other", async () => {
    const { url } = await startDemo();
    const context = await newContext();
    const complaints: string[] = [];
    context.on("console", (message) => complaints.push(message.text()));
    context.on("weberror", (error) => complaints.push(error.error().message));
    const mary = await join(context, url, "Mary");
    const lise = await join(context, url, "Lise");
    const marysShard = await shardOf(mary);
    // A shard whose event loop was late within the last second gets no connections while the other isn't late. On a
    // busy machine that may happen; the second user then connects again.
    while (availableParallelism() > 1 && (await shardOf(lise)) === marysShard) await enter(lise, url, "Lise");
    const lisesShard = await shardOf(lise);
    expect(await mary.locator(".jacks i").count()).toBe(availableParallelism());

    await say(mary, "Number, please?");
    await lineWith(lise, "Number, please?").waitFor();
    await say(lise, "Extension 42.");
    await lineWith(mary, "Extension 42.").waitFor();

    for (const page of [mary, lise]) {
      expect(await lineWith(page, "Number, please?").textContent()).toMatch(new RegExp(`^Mary${marysShard}`));
      expect(await lineWith(page, "Extension 42.").textContent()).toMatch(new RegExp(`^Lise${lisesShard}`));
    }
    expect(complaints).toEqual([]);
    await mary.screenshot({ path: joinPath(projectFolder, "artifacts/demo.png") });
  });

  it("shows names and messages as text, even if they contain markup", async () => {
    const { url } = await startDemo();
    const context = await newContext();
    const reader = await join(context, url, "Mary");
    const writer = await join(context, url, "<i>Mallory</i>");
    await say(writer, '<img src="x" onerror="document.title = 1">');
    const line = lineWith(reader, "onerror");
    expect(await line.textContent()).toContain("<i>Mallory</i>");
    expect(await line.locator("i, img").count()).toBe(0);
    expect(await reader.title()).toBe("Switchboard chat");
  });

  it("changes the room when the address changes", async () => {
    const { url } = await startDemo();
    const context = await newContext();
    const mary = await join(context, url, "Mary");
    const lise = await join(context, `${url}#operators`, "Lise");
    await mary.evaluate("location.hash = 'operators'");
    await lineWith(lise, "Mary joined on").waitFor();
    await say(lise, "Welcome.");
    await lineWith(mary, "Welcome.").waitFor();
    expect(await mary.getByRole("heading").textContent()).toContain("#operators");
  });

  it("reconnects by itself after its server was gone", async () => {
    const { demo, url, port } = await startDemo();
    const page = await join(await newContext(), url, "Mary");
    await demo.destroy();
    await lineWith(page, "Disconnected (1006)").waitFor();
    expect(await page.getByRole("button", { name: "Send" }).isDisabled()).toBe(true);
    await page.getByRole("status").filter({ hasText: "Trying again in" }).waitFor();
    await startDemo(port);
    await page
      .getByRole("status")
      .filter({ hasText: /^Connected$/ })
      .waitFor();
    await say(page, "Where were we?");
    await lineWith(page, "Where were we?").waitFor();
  });

  it("gets close code 1001 when its server ends on SIGTERM, and the server exits with 0", async () => {
    const { demo, url } = await startDemo();
    const context = await newContext();
    const pages = [await join(context, url, "Mary"), await join(context, url, "Lise")];
    demo.kill("SIGTERM");
    for (const page of pages) await lineWith(page, "Disconnected (1001: server is going away)").waitFor();
    expect(await demo.exit).toMatchObject({ code: 0, stderr: "" });
  });
});
