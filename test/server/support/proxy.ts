/** nginx and HAProxy in front of a server: their defaults, what a WebSocket needs, and the address of the client. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished, vi } from "vitest";
import { isExecutable, isMissing } from "../../e2e/support/programs.ts";
import { freePort } from "../../support/free-port.ts";

export interface Proxy {
  readonly name: string;
  readonly program: string;
  readonly config: (port: number, to: number, folder: string) => string;
  readonly arguments: (file: string) => readonly string[];
}

const FORWARDED_FOR = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";

export const proxies: readonly Proxy[] = [
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
        server { listen 127.0.0.1:${port}; 
          location / { proxy_pass http://127.0.0.1:${to}; ${FORWARDED_FOR} }
          # What a WebSocket needs beyond the defaults.
          location /connection/websocket {
            proxy_pass http://127.0.0.1:${to}; ${FORWARDED_FOR}
            proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
          }
        }
      }`,
    arguments: (file) => ["-c", file],
  },
  {
    name: "HAProxy",
    program: "/usr/sbin/haproxy",
    config: (port, to) => `
defaults
  mode http
  option forwardfor
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

/** Starts a proxy in front of a port. Returns the proxy's port. */
export async function startProxy(proxy: Proxy, to: number): Promise<number> {
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
  return port;
}

/** Returns true, and prints what to install, if the proxy isn't there. */
export function isProxyMissing({ name, program }: Proxy): boolean {
  return isMissing(program, isExecutable(program), `apt-get install ${name.toLowerCase()}`);
}
