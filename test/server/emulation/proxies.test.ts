/** Emulation behind nginx and HAProxy with their defaults: no message may wait for the next, or for a full buffer. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { isExecutable, isMissing } from "../../e2e/support/programs.ts";
import { freePort } from "../../support/redis-server.ts";
import { CONNECT, emulate, LineStream, rpc, startServer } from "./server.ts";

interface Proxy {
  readonly name: string;
  readonly program: string;
  readonly config: (port: number, to: number, folder: string) => string;
  readonly arguments: (file: string) => readonly string[];
}

const proxies: readonly Proxy[] = [
  {
    name: "nginx",
    program: "/usr/sbin/nginx",
    config: (port, to, folder) => `
      daemon off; pid ${folder}/pid; error_log stderr;
      events {}
      http {
        access_log off;
        client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/a;
        uwsgi_temp_path ${folder}/b; scgi_temp_path ${folder}/c;
        server { listen 127.0.0.1:${port}; location / { proxy_pass http://127.0.0.1:${to}; } }
      }`,
    arguments: (file) => ["-c", file],
  },
  {
    name: "HAProxy",
    program: "/usr/sbin/haproxy",
    config: (port, to) => `
defaults
  mode http
  timeout connect 5s
  timeout client 50s
  timeout server 50s
frontend in
  bind 127.0.0.1:${port}
  default_backend servers
backend servers
  server one 127.0.0.1:${to}
`,
    arguments: (file) => ["-f", file],
  },
];

/** Starts a proxy in front of a port. Returns the proxy's URL. */
async function start(proxy: Proxy, to: number): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "switchboard-proxy-"));
  const port = await freePort();
  const file = join(folder, "config");
  writeFileSync(file, proxy.config(port, to, folder));
  const process: ChildProcess = spawn(proxy.program, proxy.arguments(file), { stdio: "ignore" });
  onTestFinished(async () => {
    const ended = new Promise((resolve) => process.once("exit", resolve));
    if (process.kill()) await ended;
    rmSync(folder, { recursive: true });
  });
  await vi.waitFor(
    () =>
      new Promise<void>((resolve, reject) => {
        const socket = connect(port, "127.0.0.1", () => {
          socket.destroy();
          resolve();
        });
        socket.once("error", reject);
      }),
  );
  return `http://127.0.0.1:${port}`;
}

describe.each(proxies)("behind $name", (proxy) => {
  const missing = isMissing(proxy.program, isExecutable(proxy.program), `apt-get install ${proxy.name.toLowerCase()}`);

  it.skipIf(missing).each(["http_stream", "sse"])("%s brings each message at once, and the end", async (transport) => {
    const { port, board } = await startServer();
    const url = await start(proxy, port);
    const response = await fetch(`${url}/connection/${transport}`, { method: "POST", body: CONNECT });
    expect(response.status).toBe(200);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const read = async () => Buffer.from((await reader.read()).value ?? []).toString();
    const [, session = ""] = /"session":"([^"]*)"/.exec(await read()) ?? [];
    const [{ address: node } = { address: "" }] = (await board.connections()).connections;
    for (let id = 2; id < 5; id++) {
      expect(await emulate(url, { node, session }, rpc(id, "echo", "small"))).toBe(204);
      expect(await read()).toContain(`{"id":${id},"rpc":{"data":"small"}}`);
    }
    await emulate(url, { node, session }, rpc(5, "close", { code: 3001, reason: "shutdown" }));
    expect(await read()).toContain('"code":3001');
    expect((await reader.read()).done).toBe(true);
  });

  it.skipIf(missing)("the leaving of the client reaches the actor, with the next message at the latest", async () => {
    const { port } = await startServer();
    const url = await start(proxy, port);
    const stream = await LineStream.open(url);
    const connected = await stream.connected();
    stream.leave();
    await vi.waitFor(async () => expect(await emulate(url, connected, rpc(2, "echo"))).toBe(404));
  });
});
