import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parse } from "jsonc-parser";
import { beforeEach, expect, it, onTestFinished } from "vitest";
import { type ProgramOptions, switchboardIn } from "./program.ts";

let cwd = "";

beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), "switchboard-cli-"));
  onTestFinished(() => rm(cwd, { recursive: true }));
});

function run(options: ProgramOptions, ...args: string[]) {
  return switchboardIn({ cwd, ...options }, "config", ...args).exit;
}

it("writes a file that only the user may read, with a schema that is there, and which the check likes", async () => {
  const file = join(cwd, "switchboard.json");
  const stdout =
    "Wrote switchboard.json with fresh secrets. Start the server with: npx switchboard serve --config switchboard.json\n";
  expect(await run({}, "init")).toMatchObject({ code: 0, stdout, stderr: "" });
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const { $schema } = parse(await readFile(file, "utf8"));
  expect(JSON.parse(await readFile(resolve(cwd, $schema), "utf8"))).toMatchObject({
    title: "Config of switchboard serve",
  });
  expect(await run({}, "check", "--config", "switchboard.json")).toMatchObject({ code: 0, stdout: "ok\n", stderr: "" });
});

it("writes over no file", async () => {
  const file = join(cwd, "mine.json");
  await writeFile(file, "mine");
  expect(await run({}, "init", "mine.json")).toMatchObject({
    code: 1,
    stdout: "",
    stderr: "switchboard: mine.json exists and stays as it is: give another name, or move the file away\n",
  });
  expect(await readFile(file, "utf8")).toBe("mine");
});

it("tells why it can't write a file", async () => {
  const { code, stderr } = await run({}, "init", "no/such/folder.json");
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: expect.stringMatching(/^switchboard: can't write no\/such\/folder\.json: ENOENT: .+\n$/),
  });
});

it("tells all faults and warnings of the file and the environment, and exits with 1", async () => {
  const text = '{\n  "http_api": { "kee": "0123456789abcdef" },\n  "shards": "4",\n  "client": { "insecure": true }\n}';
  await writeFile(join(cwd, "a.json"), text);
  const env = { SWITCHBOARD_LOG_LEVEL: "loud", SWITCHBOARD_NO_SUCH_KEY: "1" };
  expect(await run({ env }, "check", "--config", "a.json")).toMatchObject({
    code: 1,
    stdout: "",
    stderr: `SWITCHBOARD_LOG_LEVEL: log.level: takes "none", "error", "warn", "info" or "debug", not "loud"
a.json:2:17: http_api.kee: there is no such key; did you mean key?
a.json:3:13: shards: takes a whole number from 0 to 1024 without quotes, not "4"
warning: SWITCHBOARD_NO_SUCH_KEY: no key has this variable, and it has no effect
warning: a.json:4:15: client.insecure: is on: anybody may connect, subscribe and publish
3 faults
`,
  });
});

it("opens the files for TLS", async () => {
  await writeFile(join(cwd, "cert.pem"), "no certificate");
  const tls = { enabled: true, cert_pem: "cert.pem", key_pem: "key.pem" };
  await writeFile(join(cwd, "tls.json"), JSON.stringify({ http_server: { tls }, http_api: { disabled: true } }));
  expect(await run({}, "check", "--config", "tls.json")).toMatchObject({
    code: 1,
    stdout: "",
    stderr: expect.stringMatching(/^http_server\.tls\.key_pem: ENOENT: .+\n(warning: .+\n)*1 fault\n$/),
  });
});

it("checks the environment alone", async () => {
  const env = { SWITCHBOARD_CLIENT_INSECURE: "true" };
  expect(await run({ env }, "check")).toMatchObject({
    code: 0,
    stdout: "ok\n",
    stderr:
      "warning: SWITCHBOARD_CLIENT_INSECURE: client.insecure: is on: anybody may connect, subscribe and publish\n",
  });
});

it.each([
  [[], "config takes init or check"],
  [["make"], "config takes init or check, not make"],
  [["init", "a", "b"], "config init takes one file; b is one too many"],
  [["check", "a", "--config", "b"], "config check takes one file; a is one too many"],
  [["check", "--file", "b"], "config has no flag --file; switchboard config --help lists all"],
])("refuses the arguments %j", async (args, sentence) => {
  expect(await run({}, ...args)).toMatchObject({ code: 2, stdout: "", stderr: `switchboard: ${sentence}\n` });
});

it("shows its help", async () => {
  expect(await run({}, "--help")).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^Usage: switchboard config init/),
  });
});
