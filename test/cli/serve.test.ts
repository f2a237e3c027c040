import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { isInNpmShell } from "../../src/cli/npm-shell.ts";
import { projectFolder, RunningProgram } from "../e2e/support/process.ts";
import { missingUring } from "../wire/native/availability.ts";
import { switchboard, switchboardIn } from "./program.ts";

function file(config: object): string {
  const folder = mkdtempSync(join(tmpdir(), "switchboard-serve-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  return join(folder, "config.json");
}

const SECRETS = { client: { token: { hmac_secret_key: "s".repeat(32) } }, http_api: { key: "k".repeat(32) } };

it("tells where everything is, and with a config no secrets", async () => {
  const config = file({ ...SECRETS, prometheus: { enabled: true }, http_server: { internal_address: "127.0.0.1" } });
  const server = switchboard("serve", "--config", config, "--port", "0");
  await server.prints(/sockets +\S.+\n\n/);
  server.kill("SIGINT");
  const { code, stdout } = await server.exit;
  expect(code).toBe(0);
  const lines = stdout.replaceAll(/:\d+/g, ":0").split("\n");
  expect(lines).toEqual([
    expect.stringMatching(/^Switchboard runs with \d+ shards?; channels are kept in this process:$/),
    "",
    "  clients  ws://localhost:0/connection/websocket",
    "  api      http://localhost:0/api",
    "  health   http://localhost:0/health",
    "  metrics  http://localhost:0/metrics",
    "  sockets  node (the default)",
    "",
    "",
  ]);
});

it("says which sockets it uses, and why, or that it can't", async () => {
  const env = { SWITCHBOARD_SOCKETS: "uring", SWITCHBOARD_LOG_FORMAT: "json" };
  const server = switchboardIn({ env }, "serve", "--config", file(SECRETS), "--port", "0");
  if (missingUring === undefined) {
    const [line] = await server.logs(/.*"listening".*/);
    expect(JSON.parse(line)).toMatchObject({ sockets: "uring", socketsReason: 'the option sockets: "uring"' });
    server.kill("SIGTERM");
    expect((await server.exit).code).toBe(0);
  } else {
    expect(await server.exit).toMatchObject({ code: 1, stderr: expect.stringContaining(missingUring) });
  }
});

it("writes JSON only, if the log is to be JSON, and no secret", async () => {
  const env = { SWITCHBOARD_LOG_FORMAT: "json", SWITCHBOARD_CLIENT_INSECURE: "true" };
  const server = switchboardIn({ env }, "serve", "--config", file(SECRETS), "--port", "0");
  await server.logs(/listening/);
  server.kill("SIGTERM");
  const { code, stdout, stderr } = await server.exit;
  expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
  const lines = stderr
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines.map(({ message }) => message)).toEqual([
    expect.stringContaining("client.insecure: is on"),
    "listening",
    "closing",
    "closed",
  ]);
  expect(stderr).not.toContain("ssss");
  expect(stderr).not.toContain("kkkk");
});

it("shows how to receive without a token where none is needed", async () => {
  const server = switchboard("serve", "--insecure", "--port", "0");
  await server.prints(/new Centrifuge\("ws:\/\/localhost:\d+\/connection\/websocket"\);\n.*newSubscription\("news"\)/);
  const [, curl = ""] = await server.prints(/(curl .+)/);
  expect(curl).toContain("X-API-Key");
});

it("names the port that is taken, and what to do", async () => {
  const taken = createServer().listen(0);
  await new Promise((resolve) => taken.once("listening", resolve));
  onTestFinished(() => void taken.close());
  const { port } = taken.address() as AddressInfo;
  const { code, stdout, stderr } = await switchboard("serve", "--port", String(port)).exit;
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(/^switchboard: can't start: listen EADDRINUSE.*; choose another port with --port\n$/);
});

it("names the key of the port of the API if that one is taken", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => taken.once("listening", resolve));
  onTestFinished(() => void taken.close());
  const { port } = taken.address() as AddressInfo;
  const config = file({ ...SECRETS, http_server: { internal_port: port, internal_address: "127.0.0.1" } });
  const { code, stderr } = await switchboard("serve", "--config", config, "--port", "0").exit;
  expect(code).toBe(1);
  expect(stderr).toMatch(/EADDRINUSE.*; choose another port with the key http_server.internal_port\n$/);
});

it("tells of a config in the working directory that isn't used", async () => {
  const cwd = mkdtempSync(join(tmpdir(), "switchboard-serve-"));
  onTestFinished(() => rmSync(cwd, { recursive: true }));
  writeFileSync(join(cwd, "switchboard.json"), JSON.stringify(SECRETS));
  const told = "found switchboard.json; start with --config switchboard.json to use it";
  const unused = switchboardIn({ cwd }, "serve", "--port", "0");
  await unused.logs(new RegExp(told));
  const used = switchboardIn({ cwd }, "serve", "--port", "0", "--config", "switchboard.json");
  await used.prints(/metrics|health/);
  used.kill("SIGTERM");
  expect((await used.exit).stderr).not.toContain("found switchboard.json");
  const { stderr } = await switchboardIn({ cwd }, "config", "check").exit;
  expect(stderr).toContain("warning: found switchboard.json; say --config switchboard.json to check it\n");
});

it("ends as after SIGTERM when the shell of npx ends, which gets the signal in its place", async () => {
  const program = [process.execPath, join(projectFolder, "src/cli/main.ts"), "serve", "--port", "0"];
  // The shell stays beside the program, as that of npx does.
  const script = `${program.map((part) => `'${part}'`).join(" ")}; :`;
  const env = { ...process.env, npm_lifecycle_script: "switchboard" };
  const shell = new RunningProgram("sh", ["-c", script], { cwd: projectFolder, env });
  onTestFinished(() => shell.destroy());
  await shell.prints(/health/);
  shell.kill("SIGTERM");
  // The output ends with the server.
  const { signal, stderr } = await shell.exit;
  expect(signal).toBe("SIGTERM");
  expect(stderr).toMatch(/INFO {2}closing because="npx or npm has ended"\n.*INFO {2}closed\n$/);
});

it.each([
  ["switchboard", true],
  ["'switchboard' serve", true],
  ["npm run build && node_modules/.bin/switchboard serve --port 1", true],
  ["switchboard serve &", false],
  ["nohup switchboard serve", false],
  ["node server.js", false],
  ["vitest run", false],
  [undefined, false],
])("takes the script of npm %s for a shell around the server: %s", (script, isShell) => {
  expect(isInNpmShell({ npm_lifecycle_script: script })).toBe(isShell);
});

it("tells all faults of the config at once", async () => {
  const { code, stderr } = await switchboard("serve", "--config", file({ shards: -1, htp_api: {} })).exit;
  expect(code).toBe(1);
  expect(stderr).toContain("the config has 3 faults:\n");
  expect(stderr).toContain("did you mean http_api?");
});

it("doesn't start without the config that was meant", async () => {
  expect(await switchboard("serve", "switchboard.json").exit).toMatchObject({
    code: 2,
    stdout: "",
    stderr: "switchboard: serve takes no switchboard.json; write a config file as --config switchboard.json\n",
  });
});
