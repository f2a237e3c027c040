/** Secrets of the server and of clients must not show. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { projectFolder, RunningProgram } from "../../e2e/support/process.ts";
import { startApplication } from "../hooks/support/application.ts";
import { open, outcome, token } from "./support/raw-token.ts";

/** Begins each secret of the server that runs below. */
const MARK = "sEcReT";

it("shows no secret in its output, an answer or the metrics", async () => {
  const application = await startApplication((response) => response.writeHead(500).end());
  const folder = await mkdtemp(join(tmpdir(), "switchboard-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, "config.json");
  const endpoint = application.url.replace("http://", `http://user:${MARK}1@`);
  const config = {
    shards: 1,
    log: { level: "debug" },
    http_server: { port: 0, address: "127.0.0.1" },
    client: {
      token: { hmac_secret_key: `${MARK}2`, hmac_previous_secret_key: `${MARK}3` },
      proxy: { connect: { enabled: true, endpoint, http: { static_headers: { Authorization: `${MARK}4` } } } },
    },
    http_api: { key: `${MARK}5` },
    prometheus: { enabled: true },
    sse: { enabled: true },
  };
  await writeFile(file, JSON.stringify(config));
  const program = new RunningProgram(process.execPath, ["src/cli/main.ts", "serve", "--config", file], {
    cwd: projectFolder,
  });
  onTestFinished(() => program.destroy());
  const [, port = ""] = await program.prints(/localhost:(\d+)/);
  const host = `127.0.0.1:${port}`;
  const seen: string[] = [];
  const see = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(`http://${host}${path}`, init);
    seen.push(JSON.stringify([...response.headers]), await response.text());
  };
  await see("/api/info", { method: "POST", headers: { "X-API-Key": `${MARK}6` } });
  await see(`/api/info?api_key=${MARK}7`, { method: "POST" });
  await see("/api/info", { method: "POST", headers: { "X-API-Key": `${MARK}5` } });
  await see("/api/connections", { method: "POST", headers: { "X-API-Key": `${MARK}5` }, body: `{"x":"${MARK}8` });
  const bad = token({ sub: "a" }, { key: `${MARK}9` });
  const connect = encodeURIComponent(JSON.stringify({ id: 1, connect: { token: `${MARK}.${bad}` } }));
  await see(`/connection/sse?cf_connect=${connect}`);
  for (const request of [{ token: bad }, { token: `${MARK}.x.y` }, {}]) {
    const client = await open(`ws://${host}/connection/websocket`);
    seen.push(JSON.stringify(await outcome(client, { connect: request })));
  }
  const good = await open(`ws://${host}/connection/websocket`);
  seen.push(JSON.stringify(await outcome(good, { connect: { token: token({ sub: "a" }, { key: `${MARK}2` }) } })));
  expect(seen.at(-1)).toContain('"client"');
  await see("/metrics");
  await see("/health");
  program.kill("SIGTERM");
  const { stdout, stderr } = await program.exit;
  // The failure of the application is told, so the output isn't just empty.
  expect(`${stdout}${stderr}`).toMatch(/application|endpoint|500/i);
  for (const text of [stdout, stderr, ...seen]) expect(text).not.toContain(MARK);
});
