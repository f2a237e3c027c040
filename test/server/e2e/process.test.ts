/** `switchboard serve` as a process: how it starts, what its ports have, how it ends, and the commands that ask it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Centrifuge } from "centrifuge";
import { expect, it, onTestFinished, vi } from "vitest";
import WebSocket from "ws";
import { switchboardIn } from "../../cli/program.ts";
import { projectFolder, RunningProgram } from "../../e2e/support/process.ts";
import { isMissing, succeeds } from "../../e2e/support/programs.ts";
import { createCertificate } from "../../support/certificate.ts";
import { freePort } from "../../support/free-port.ts";
import { API_KEY, INSECURE } from "../support/server.ts";
import { callApi, connected, listen } from "./clients.ts";

interface Line {
  readonly level: string;
  readonly message: string;
  /** URLs, in the line "listening". */
  readonly clients?: string;
  readonly api?: string;
}

interface Started {
  readonly program: RunningProgram;
  readonly file: string;
  readonly port: number;
  readonly apiPort: number;
  readonly url: string;
  /** Lines of the log so far. */
  logged(): Line[];
}

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "switchboard-serve-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Starts the command with a config file, and waits until the server listens. */
async function start(more: object = {}, ...flags: string[]): Promise<Started> {
  const file = join(newFolder(), "switchboard.json");
  const http_server = { address: "127.0.0.1", port: await freePort() };
  const config = { ...INSECURE, http_server, shards: 1, log: { format: "json" }, ...more };
  writeFileSync(file, JSON.stringify(config));
  const program = switchboardIn({}, "serve", "--config", file, ...flags);
  const logged = () => linesOf(program.errors);
  const listening = await vi.waitFor(() => {
    const line = logged().find(({ message }) => message === "listening");
    if (line === undefined) throw new Error(program.errors);
    return line;
  });
  const [port = 0, apiPort = 0] = [listening.clients, listening.api].map((url = "") => Number(new URL(url).port));
  return { program, file, port, apiPort, url: `http://127.0.0.1:${port}`, logged };
}

function linesOf(text: string): Line[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line): Line => JSON.parse(line));
}

/** Collects how often a client is thrown out, and keeps it away. */
function endsOf(clients: readonly Centrifuge[]): unknown[] {
  const ends: unknown[] = [];
  for (const client of clients) {
    client.once("connecting", (context) => {
      ends.push(context);
      client.disconnect();
    });
  }
  return ends;
}

it("ends at SIGTERM: health turns red while clients are still served, then all get 3001, and the exit code is 0", async () => {
  const shutdown = { readiness_delay: "5s", timeout: "10s", batch_size: 2, batch_interval: "100ms" };
  const { program, url, logged } = await start({ shutdown });
  const clients = await Promise.all(Array.from({ length: 5 }, () => connected(url)));
  const heard = await listen(clients[0] as Centrifuge, "news");
  const ends = endsOf(clients);
  program.kill("SIGTERM");
  await vi.waitFor(async () => expect((await fetch(`${url}/health`)).status).toBe(503));
  expect(await callApi(url, API_KEY, "publish", { channel: "news", data: "last" })).toMatchObject({ result: {} });
  await vi.waitFor(() => expect(heard).toEqual(["last"]));
  const { code, stderr } = await program.exit;
  expect(code).toBe(0);
  // What came over the connections may be read after the end of the process.
  await vi.waitFor(() => expect(ends).toEqual(Array.from({ length: 5 }, () => ({ code: 3001, reason: "shutdown" }))));
  expect(logged().map(({ message }) => message)).toEqual(expect.arrayContaining(["closing", "closed"]));
  expect(linesOf(stderr).filter(({ level }) => level === "error")).toEqual([]);
});

it("ends at once at a second signal", async () => {
  const { program, url } = await start({ shutdown: { readiness_delay: "20s", timeout: "30s" } });
  program.kill("SIGTERM");
  await vi.waitFor(async () => expect((await fetch(`${url}/health`)).status).toBe(503));
  program.kill("SIGINT");
  expect(await program.exit).toMatchObject({ code: 130 });
});

const NAMESPACE = ["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"];
const noNamespaces = isMissing("unshare", succeeds("unshare", ...NAMESPACE, "true"), "apt-get install util-linux");

it.skipIf(noNamespaces)("ends at SIGTERM as the first process of a container", async () => {
  const port = await freePort();
  const serve = [`${projectFolder}src/cli/main.ts`, "serve", "--insecure", "--port", String(port)];
  const outside = new RunningProgram("unshare", [...NAMESPACE, "--kill-child", process.execPath, ...serve]);
  onTestFinished(() => outside.destroy());
  await outside.prints(/centrifuge\.connect\(\)/);
  const [client] = [await connected(`http://127.0.0.1:${port}`)];
  const ends = endsOf([client]);
  const inside = Number(readFileSync(`/proc/${outside.pid}/task/${outside.pid}/children`, "utf8"));
  process.kill(inside, "SIGTERM");
  expect(await outside.exit).toMatchObject({ code: 0 });
  await vi.waitFor(() => expect(ends).toEqual([{ code: 3001, reason: "shutdown" }]));
});

it("ends within the time although a client doesn't answer", async () => {
  const { program, port, url } = await start({ shutdown: { timeout: "1500ms" } });
  const socket = new WebSocket(`ws://127.0.0.1:${port}/connection/websocket`);
  onTestFinished(() => socket.terminate());
  await new Promise((resolve) => socket.once("open", resolve));
  await connected(url).then((client) => endsOf([client]));
  socket.pause();
  program.kill("SIGTERM");
  expect(await program.exit).toMatchObject({ code: 0 });
});

it("keeps the API, health and metrics off the port of clients if they have their own", async () => {
  const http_server = { address: "127.0.0.1", port: await freePort(), internal_port: await freePort() };
  const { url, port, apiPort } = await start({ http_server, prometheus: { enabled: true } });
  expect([port, apiPort]).toEqual([http_server.port, http_server.internal_port]);
  const inside = `http://127.0.0.1:${apiPort}`;
  const status = async (base: string, path: string) =>
    (
      await fetch(`${base}${path}`, {
        method: path === "/api/info" ? "POST" : "GET",
        headers: { "X-API-Key": API_KEY },
      })
    ).status;
  for (const path of ["/api/info", "/health", "/metrics"]) {
    expect([path, await status(url, path)]).toEqual([path, 404]);
    expect([path, await status(inside, path)]).toEqual([path, 200]);
  }
  const heard = await listen(await connected(url), "news");
  await callApi(inside, API_KEY, "publish", { channel: "news", data: 1 });
  await vi.waitFor(() => expect(heard).toEqual([1]));
  const socket = new WebSocket(`ws://127.0.0.1:${apiPort}/connection/websocket`);
  const refusal = new Promise((resolve) => socket.once("error", resolve));
  expect(await refusal).toBeInstanceOf(Error);
});

it("serves TLS with the files of the config", async () => {
  const folder = newFolder();
  const { cert, key } = createCertificate();
  const tls = { enabled: true, cert_pem: join(folder, "cert.pem"), key_pem: join(folder, "key.pem") };
  writeFileSync(tls.cert_pem, cert);
  writeFileSync(tls.key_pem, key);
  const { port } = await start({ http_server: { address: "127.0.0.1", port: await freePort(), tls } });
  const socket = new WebSocket(`wss://127.0.0.1:${port}/connection/websocket`, {
    ca: cert,
  });
  onTestFinished(() => socket.terminate());
  socket.once("open", () => socket.send('{"id":1,"connect":{}}'));
  const answer = await new Promise((resolve) => socket.once("message", (data) => resolve(String(data))));
  expect(answer).toContain('"connect"');
});

it.each([
  { wrong: "cert_pem", text: undefined, told: "http_server.tls.cert_pem: ENOENT" },
  { wrong: "key_pem", text: undefined, told: "http_server.tls.key_pem: ENOENT" },
  { wrong: "cert_pem", text: "no certificate", told: "http_server.tls: " },
])("tells which file of TLS is wrong: $told", async ({ wrong, text, told }) => {
  const folder = newFolder();
  const { cert, key } = createCertificate();
  const tls = { enabled: true, cert_pem: join(folder, "cert.pem"), key_pem: join(folder, "key.pem") };
  writeFileSync(tls.cert_pem, cert);
  writeFileSync(tls.key_pem, key);
  const path = join(folder, wrong === "cert_pem" ? "cert.pem" : "key.pem");
  if (text === undefined) rmSync(path);
  else writeFileSync(path, text);
  const file = join(folder, "switchboard.json");
  writeFileSync(file, JSON.stringify({ ...INSECURE, http_server: { port: 0, tls } }));
  const { code, stderr } = await switchboardIn({}, "serve", "--config", file).exit;
  expect(code).toBe(1);
  expect(stderr).toContain(`switchboard: can't start: ${told}`);
  expect(stderr).not.toContain("    at ");
});

it("tells that a port is taken, and what to do", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => taken.once("listening", resolve));
  onTestFinished(() => void taken.close());
  const { port } = taken.address() as { port: number };
  const program = switchboardIn({}, "serve", "--address", "127.0.0.1", "--port", String(port));
  const { code, stderr, stdout } = await program.exit;
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(new RegExp(`can't start: .*EADDRINUSE.*${port}.*--port`));
});

it("starts without a config, shows secrets once, and lets everybody in with --insecure", async () => {
  const port = await freePort();
  const program = switchboardIn({}, "serve", "--address", "127.0.0.1", "--port", String(port), "--insecure");
  const [, key = ""] = await program.prints(/X-API-Key: (\S+)'/);
  await program.prints(/centrifuge\.connect\(\)/);
  const url = `http://127.0.0.1:${port}`;
  const heard = await listen(await connected(url), "news");
  expect(await callApi(url, key, "publish", { channel: "news", data: "hello" })).toEqual({ result: {} });
  await vi.waitFor(() => expect(heard).toEqual(["hello"]));
  expect(program.errors).toMatch(/client\.insecure: is on/);
  expect(program.errors).not.toContain(key);
});

it("answers publish, channels, connections and info, and takes tokens of the command", async () => {
  const client = { token: { hmac_secret_key: "0123456789abcdef0123456789abcdef" } };
  const channel = { without_namespace: { allow_subscribe_for_client: true } };
  const { file, url } = await start({ client, channel });
  const ask = async (...args: string[]) => {
    const { code, stdout, stderr } = await switchboardIn({}, ...args, "--config", file).exit;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return stdout;
  };
  const token = (await ask("token", "--user", "42", "--expires", "1h")).trim();
  const heard = await listen(await connected(url, { token }), "news");
  await ask("publish", "news", '{"text":"hello"}');
  await vi.waitFor(() => expect(heard).toEqual([{ text: "hello" }]));
  expect(JSON.parse(await ask("channels", "--json"))).toEqual({ channels: { news: { num_clients: 1 } } });
  expect(Object.values(JSON.parse(await ask("connections", "--user", "42", "--json")).connections)).toMatchObject([
    { user: "42" },
  ]);
  expect(await ask("info")).toMatch(/1/);
});

it("SIGHUP and --watch load the config anew: clients stay, what needs a restart is said, and faults change nothing", async () => {
  const { program, file, url, logged } = await start({}, "--watch");
  const client = await connected(url);
  const heard = await listen(client, "news");
  const ends = endsOf([client]);
  const config = JSON.parse(readFileSync(file, "utf8"));
  const told = (message: string) => logged().filter((line) => line.message.startsWith(message));
  program.kill("SIGHUP");
  await vi.waitFor(() => expect(told("reloaded")).toMatchObject([{ because: "SIGHUP", moved: 1, closed: 0 }]));

  // The client may call methods that the application answers only after the reload: here, an address where nothing
  // listens.
  const proxy = { endpoint: "http://127.0.0.1:1/rpc", timeout: "1s" };
  const changed = { ...config, shards: 2, rpc: { proxy, without_namespace: { proxy_enabled: true } } };
  await expect(client.rpc("add", {})).rejects.toMatchObject({ code: 108 });
  writeFileSync(file, JSON.stringify(changed));
  await vi.waitFor(() => expect(told("reloaded")).toHaveLength(2));
  expect(told("shards has changed")).toHaveLength(1);
  await expect(client.rpc("add", {})).rejects.toMatchObject({ code: 100 });

  writeFileSync(file, "{");
  await vi.waitFor(() => expect(told("not reloaded")).toHaveLength(1));
  await callApi(url, API_KEY, "publish", { channel: "news", data: 1 });
  await vi.waitFor(() => expect(heard).toEqual([1]));
  expect(ends).toEqual([]);
  client.disconnect();
});
