/** What the guide to `switchboard serve` shows, as it stands there. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Centrifuge, type Subscription } from "centrifuge";
import { expect, it, onTestFinished, vi } from "vitest";
import { switchboardIn } from "../../cli/program.ts";
import { run } from "../../e2e/support/process.ts";
import { isExecutable, isMissing } from "../../e2e/support/programs.ts";
import { freePort } from "../../support/free-port.ts";
import { codeBlocks, readReadme } from "../../support/readme.ts";

const GUIDE = "src/guides/serving.md";
const CONFIG = JSON.parse(example("json", "namespaces"));
const SECRET: string = CONFIG.client.token.hmac_secret_key;
const KEY: string = CONFIG.http_api.key;

function example(language: string, part: string): string {
  const found = codeBlocks(readReadme(GUIDE)).find((one) => one.language === language && one.code.includes(part));
  if (found === undefined) throw new Error(`the guide has no ${part}`);
  return found.code;
}

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "switchboard-serving-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Starts the command with the guide's config. Returns the address of its API and its clients. */
async function serve(): Promise<{ folder: string; host: string }> {
  const folder = newFolder();
  writeFileSync(join(folder, "switchboard.json"), JSON.stringify(CONFIG));
  const server = switchboardIn({ cwd: folder }, "serve", "--config", "switchboard.json", "--port", "0");
  const [, host = ""] = await server.prints(/ws:\/\/(localhost:\d+)/);
  return { folder, host };
}

/** Runs a program in PHP from the guide. Returns the lines that it prints. */
async function php(part: string, host: string): Promise<string[]> {
  const file = join(newFolder(), "program.php");
  writeFileSync(file, example("php", part).replaceAll("localhost:8000", host));
  const { stdout } = await run("php", [file], { env: { ...process.env, SECRET, KEY } });
  return stdout.trim().split("\n");
}

function connect(host: string, token: string): Centrifuge {
  const client = new Centrifuge(`ws://${host}/connection/websocket`, { token });
  onTestFinished(() => client.disconnect());
  client.connect();
  return client;
}

/** Subscribes. Resolves with the promise of the first publication. */
async function first(subscription: Subscription): Promise<{ publication: Promise<unknown> }> {
  const publication = new Promise((resolve) => subscription.on("publication", ({ data }) => resolve(data)));
  subscription.subscribe();
  await subscription.ready();
  return { publication };
}

const noPhp = isMissing("PHP", isExecutable("/usr/bin/php"), "apt-get install php-cli");

it.skipIf(noPhp)("makes tokens and publishes in PHP, with the guide's config", async () => {
  const { host } = await serve();
  const [token = "", roomToken = ""] = await php("function token", host);
  const client = connect(host, token);
  const news = await first(client.newSubscription("news:sports"));
  const room = client.newSubscription("room:lobby", { token: roomToken });
  const own = await first(room);
  expect(await php("function api", host)).toEqual(["1"]);
  expect(await news.publication).toEqual({ text: "goal" });
  await room.publish("hi");
  expect(await own.publication).toBe("hi");
  expect((await room.presenceStats()).numUsers).toBe(1);
});

it("answers every curl of the guide", async () => {
  const { host } = await serve();
  const token = (await switchboardTokenFor("42")).trim();
  const client = connect(host, token);
  await client.ready();
  const ended = new Promise((resolve) => client.on("disconnected", resolve));
  const lines = example("sh", "/api/broadcast").trim().split("\n");
  const results: unknown[] = [];
  for (const line of lines) {
    const { stdout } = await run("sh", ["-c", line.replace("localhost:8000", host)], { env: { ...process.env, KEY } });
    results.push(JSON.parse(stdout));
  }
  const position = { offset: 1, epoch: expect.any(String) };
  expect(results).toEqual([
    { result: position },
    { result: { responses: [{ result: { ...position, offset: 2 } }, { result: position }] } },
    {
      result: {
        publications: [expect.objectContaining({ data: 1 }), expect.objectContaining({ offset: 1 })],
        offset: 2,
        epoch: position.epoch,
      },
    },
    { result: { presence: {} } },
    { result: {} },
  ]);
  await ended;
});

function switchboardTokenFor(user: string): Promise<string> {
  const env = { SWITCHBOARD_CLIENT_TOKEN_HMAC_SECRET_KEY: SECRET };
  return switchboardIn({ env }, "token", "--user", user).exit.then(({ stdout }) => stdout);
}

interface Proxy {
  readonly program: string;
  readonly arguments: (file: string) => readonly string[];
  readonly config: (port: number, host: string, folder: string) => string;
}

const proxies: readonly (readonly [string, Proxy])[] = [
  [
    "nginx",
    {
      program: "/usr/sbin/nginx",
      arguments: (file) => ["-c", file],
      config: (port, host, folder) => `
daemon off; pid ${folder}/pid; error_log stderr; events {}
http {
  access_log off;
  client_body_temp_path ${folder}/a; proxy_temp_path ${folder}/b; fastcgi_temp_path ${folder}/c;
  uwsgi_temp_path ${folder}/d; scgi_temp_path ${folder}/e;
  server { listen 127.0.0.1:${port}; ${example("nginx", "proxy_pass").replace("127.0.0.1:8000", host)} }
}`,
    },
  ],
  [
    "HAProxy",
    {
      program: "/usr/sbin/haproxy",
      arguments: (file) => ["-f", file],
      config: (port, host) => `${example("haproxy", "backend").replace("127.0.0.1:8000", host)}
frontend clients
  bind 127.0.0.1:${port}
  default_backend realtime
`,
    },
  ],
];

it.each(proxies)("is reached through %s with the guide's config", async (name, proxy) => {
  if (isMissing(proxy.program, isExecutable(proxy.program), `apt-get install ${name.toLowerCase()}`)) return;
  const { host } = await serve();
  const [folder, port] = [newFolder(), await freePort()];
  writeFileSync(join(folder, "config"), proxy.config(port, host.replace("localhost", "127.0.0.1"), folder));
  const program: ChildProcess = spawn(proxy.program, proxy.arguments(join(folder, "config")), { stdio: "ignore" });
  onTestFinished(async () => {
    const ended = new Promise((resolve) => program.once("exit", resolve));
    if (program.kill()) await ended;
  });
  const token = (await switchboardTokenFor("42")).trim();
  const client = connect(`127.0.0.1:${port}`, token);
  const { publication } = await first(client.newSubscription("news:sports"));
  await vi.waitFor(() => expect(client.state).toBe("connected"));
  const headers = { "X-API-Key": KEY };
  const body = JSON.stringify({ channel: "news:sports", data: "through" });
  await fetch(`http://${host}/api/publish`, { method: "POST", headers, body });
  expect(await publication).toBe("through");
});

const noSystemd = isMissing("systemd-analyze", isExecutable("/usr/bin/systemd-analyze"), "apt-get install systemd");

it.skipIf(noSystemd)("shows a unit with which systemd finds no fault", async () => {
  const file = join(newFolder(), "realtime.service");
  // The package isn't installed there.
  writeFileSync(file, example("ini", "ExecStart").replace("/srv/realtime/node_modules/.bin/switchboard", "/bin/true"));
  expect(await run("systemd-analyze", ["verify", file])).toMatchObject({ stdout: "", stderr: "" });
});
