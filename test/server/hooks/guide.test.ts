import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { parseConfig } from "../../../src/server/config/load.ts";
import { cacheMissEvent, disconnectEvent, hookBody, occupancyEvent } from "../../../src/server/hooks/hook-events.ts";
import { RunningProgram } from "../../e2e/support/process.ts";
import { codeBlocks, readReadme } from "../../support/readme.ts";
import {
  answering,
  backendConfig,
  client,
  deadUrl,
  endpointConfig,
  recordingLog,
  startBackend,
} from "./support/application.ts";

const GUIDE = "src/guides/hooks.md";

/** The examples under a heading of the guide. */
function examplesOf(heading: string): { language: string; code: string }[] {
  const [, section] = readReadme(GUIDE).split(new RegExp(`^##+ ${heading}$`, "m"));
  if (section === undefined) throw new Error(`the guide has no ${heading}`);
  return codeBlocks(section.split(/^##+ /m)[0] ?? "");
}

const facts = client({ meta: Buffer.from('{"plan":"pro"}') });
const json = (text: string): Buffer => Buffer.from(text);
type Asked = ReturnType<typeof startBackend>;

/** For each question, how the client of the example asks it, and what a result's fields become. */
const QUESTIONS: Record<string, (backend: Asked) => Promise<object>> = {
  connect: (backend) =>
    backend.connect({ facts, name: "js", version: "5.8.0", channels: ["news"], data: json('{"page":"home"}') }),
  refresh: (backend) => backend.refresh(facts),
  subscribe: (backend) => backend.subscribe({ facts, channel: "room:1", token: "", data: json('{"role":"guest"}') }),
  publish: (backend) => backend.publish({ facts, channel: "room:1", data: json('{"text":"hi"}') }),
  sub_refresh: (backend) => backend.subRefresh(facts, "room:1"),
  rpc: (backend) => backend.rpc({ facts, method: "sum", data: json("[1,2]") }),
};

it("shows a config that is one", () => {
  const [example] = codeBlocks(readReadme(GUIDE));
  const loaded = parseConfig(example?.code ?? "");
  if (loaded.kind === "faults") throw new Error(JSON.stringify(loaded.faults));
  const { proxy, hooks } = loaded.config;
  expect(proxy.connect).toMatchObject({ enabled: true, endpoint: "http://127.0.0.1:3000/connect" });
  expect(proxy.subscribe).toMatchObject({ enabled: true, timeoutMs: 2_000, httpHeaders: ["cookie"] });
  expect(hooks).toMatchObject({ secret: "a long random text", occupancy: { enabled: true } });
});

it.each(Object.keys(QUESTIONS))("asks %s as the guide shows, and takes its answer", async (name) => {
  const [request, answer] = examplesOf(name);
  const application = await answering(answer?.code ?? "");
  const logged = recordingLog();
  const backend = startBackend(backendConfig(application.url, { includeConnectionMeta: true }), logged);
  const taken = await QUESTIONS[name]?.(backend);
  expect(JSON.parse(application.received[0]?.text ?? "")).toEqual(JSON.parse(request?.code ?? ""));
  expect(logged.lines).toEqual([]);
  expect(taken).toMatchObject({ kind: "result" });
  // Every field of the example means something to the server.
  const fields = Object.keys(JSON.parse(answer?.code ?? "").result).filter((field) => field !== "channels");
  const known = Object.keys((taken as { result: object }).result).map((field) =>
    field.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
  );
  expect(known).toEqual(expect.arrayContaining(fields));
});

it("sends the events that the guide shows", () => {
  const [example] = examplesOf("Notifications");
  const config = endpointConfig("http://127.0.0.1:1", { includeConnectionMeta: true });
  const body = hookBody([
    disconnectEvent(config, facts, 3012, "no pong"),
    occupancyEvent("channel_occupied", "room:1"),
    occupancyEvent("channel_vacated", "room:1"),
    cacheMissEvent("room:1"),
  ]).toString();
  const withoutTimes = (text: string) => text.replaceAll(/"time_ms":\s*\d+/g, '"time_ms":0');
  expect(JSON.parse(withoutTimes(body))).toEqual(JSON.parse(withoutTimes(example?.code ?? "")));
});

/** Starts a program for PHP's own server. Returns its address. */
async function startPhp(code: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "switchboard-php-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "application.php"), code);
  const { host, origin } = new URL(await deadUrl());
  const php = new RunningProgram("php", ["-S", host, "application.php"], { cwd: folder });
  onTestFinished(() => php.destroy());
  await vi.waitFor(() => fetch(origin, { method: "POST", body: "{}" }));
  return origin;
}

it("is answered by the guide's application in PHP", async () => {
  const [, php] = codeBlocks(readReadme(GUIDE));
  const origin = await startPhp(php?.code ?? "");
  const config = backendConfig(`${origin}/subscribe`);
  const connect = endpointConfig(`${origin}/connect`);
  const backend = startBackend({ ...config, proxy: { ...config.proxy, connect } });
  expect(await backend.connect({ facts, name: "js", version: "", channels: [] })).toEqual({
    kind: "result",
    result: { user: "42", data: Buffer.from('{"hello":"js"}') },
  });
  expect(await backend.subscribe({ facts, channel: "news", token: "" })).toEqual({ kind: "result", result: {} });
  const stranger = client({ user: "" });
  expect(await backend.subscribe({ facts: stranger, channel: "news", token: "" })).toEqual({
    kind: "error",
    code: 403,
    message: "log in first",
  });
  const many = Array.from({ length: 300 }, () => backend.subscribe({ facts, channel: "news", token: "" }));
  for (const answer of await Promise.all(many)) expect(answer.kind).toBe("result");
});

it("signs so that the guide's lines in PHP find it valid", async () => {
  const [, php] = examplesOf("Notifications");
  const origin = await startPhp(
    `${php?.code.replace("<?php", "<?php $secret = 's3cret';")}\necho json_encode($valid);`,
  );
  const validity = async (signature: string) => {
    const headers = { "x-switchboard-signature": signature };
    return (await fetch(origin, { method: "POST", body: "[1]", headers })).text();
  };
  expect(await validity(createHmac("sha256", "s3cret").update("[1]").digest("hex"))).toBe("true");
  expect(await validity(createHmac("sha256", "s3cret").update("[2]").digest("hex"))).toBe("false");
});
