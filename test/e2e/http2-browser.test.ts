import { once } from "node:events";
import { createSecureServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { chromium } from "playwright-core";
import { describe, expect, it, onTestFinished } from "vitest";
import { type AttachOptions, Switchboard } from "../../src/index.ts";
import { actorUrl } from "../support/board.ts";
import { selfSigned } from "../support/certificate.ts";
import { isExecutable, isMissing } from "./support/programs.ts";

const CHROMIUM = process.env["CHROMIUM"] || "/usr/bin/chromium";
const missing = isMissing(CHROMIUM, isExecutable(CHROMIUM), "apt-get install chromium, or set CHROMIUM to its path");

/** Runs in the page: returns the reply to each message, and how the WebSocket ended. */
async function talk({
  url,
  messages,
}: {
  url: string;
  messages: readonly string[];
}): Promise<{ answers: string[]; code: number; wasClean: boolean }> {
  const socket = new WebSocket(url);
  const answers: string[] = [];
  socket.onopen = () => {
    for (const message of messages) socket.send(message);
  };
  socket.onmessage = ({ data }) => {
    answers.push(data);
    if (answers.length === messages.length) socket.close(1000);
  };
  return new Promise((resolve) => {
    socket.onclose = ({ code, wasClean }) => resolve({ answers, code, wasClean });
  });
}

describe.skipIf(missing)("Chromium", () => {
  it("opens its WebSocket in the HTTP/2 session over which its page came", async () => {
    const board = await Switchboard.start({ actor: actorUrl("echo"), shards: 1, compression: true });
    onTestFinished(async () => {
      await board.close({ timeoutMs: 0 });
    });
    const versions: string[] = [];
    const authorize: AttachOptions["authorize"] = ({ httpVersion }) => {
      versions.push(httpVersion);
      return { session: undefined };
    };
    const server = createSecureServer(selfSigned(), (_request, response) => {
      response.setHeader("content-type", "text/html");
      response.end("<!doctype html><title>HTTP/2</title>");
    });
    const sessions: ServerHttp2Session[] = [];
    server.on("session", (session: ServerHttp2Session) => sessions.push(session));
    board.attach(server, { path: "/ws", authorize });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => {
      for (const session of sessions) session.destroy();
      server.close();
    });

    const browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"],
    });
    onTestFinished(() => browser.close());
    const page = await browser.newPage({ ignoreHTTPSErrors: true });
    const origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await page.goto(origin);
    const messages = ["hello", "x".repeat(200_000), "good bye"];
    expect(await page.evaluate(talk, { url: `${origin}/ws`, messages })).toEqual({
      answers: messages,
      code: 1000,
      wasClean: true,
    });
    expect(versions).toEqual(["2.0"]);
  });
});
