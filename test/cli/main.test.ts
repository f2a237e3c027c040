import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { projectFolder } from "../e2e/support/process.ts";
import { echo, serve } from "../load/running.ts";
import { switchboard, switchboardIn } from "./program.ts";

const short = ["--connections", "5", "--duration", "0.3", "--warmup", "0"];

it("lists the commands", async () => {
  const { code, stdout, stderr } = await switchboard("--help").exit;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/^Usage: switchboard <command>\n.*bench.*demo/s);
  expect(await switchboard().exit).toMatchObject({ code: 2, stdout });
});

it("prints its version", async () => {
  const { version } = JSON.parse(await readFile(join(projectFolder, "package.json"), "utf8"));
  expect(await switchboard("--version").exit).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: "" });
});

it("lists the flags of bench", async () => {
  const { code, stdout } = await switchboard("bench", "--help").exit;
  expect(code).toBe(0);
  expect(stdout).toMatch(/^Usage: switchboard bench <url> \[flags\]\n.*--connections N/s);
});

it.each([
  [["server"], "switchboard: there is no command server; switchboard --help lists all\n"],
  [["--verbose"], "switchboard: there is no flag --verbose; switchboard --help lists all\n"],
  [["demo", "--port"], "switchboard: demo has no flag --port; switchboard demo --help lists all\n"],
  [["demo", "8081"], "switchboard: demo takes no 8081; set its port with the variable PORT\n"],
  [["demo", "--sockets", "io"], "switchboard: --sockets takes auto, node, uring, relay, not io\n"],
  [["bench", "ws://a", "--fast"], "switchboard: bench has no flag --fast; switchboard bench --help lists all\n"],
])("refuses %j with one sentence and exit code 2", async (args, stderr) => {
  expect(await switchboard(...args).exit).toMatchObject({ code: 2, stdout: "", stderr });
});

it("prints a table at the end, as plain text if the output isn't a terminal", async () => {
  const url = await serve(echo);
  const { code, stdout, stderr } = await switchboard("bench", url, ...short).exit;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toContain(`echo of 20 B on ${url}\n5 connections, 1 in flight, 0.`);
  expect(stdout).toMatch(/\n +mean +50 % +90 % +99 % +99\.9 % +max\nlatency( +\d[\d.]* [µm]?s){6}\n/);
  expect(stdout).toMatch(/\n +messages +messages\/s +bytes\/s\nsent +[\d,]+ +[\d.,]+ +[\d.]+ k?M?B\/s\nreceived /);
  expect(stdout).toContain("\nconnections  5 opened, 0 failed, 0 closed by the server\nreplies      0 lost, 0 wrong\n");
  expect(stdout).not.toContain("\x1b");
});

it("prints events and a report as lines of JSON", async () => {
  const { code, stdout, stderr } = await switchboard("bench", await serve(echo), ...short, "--json").exit;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const lines: unknown[] = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines).toMatchObject([
    { event: "connected", connections: 5 },
    { event: "start" },
    { event: "end" },
    {
      event: "result",
      version: 1,
      scenario: "echo",
      options: { connections: 5, inflight: 1 },
      messages: { lost: 0, wrong: 0 },
      connections: { opened: 5, failed: 0, closed: 0 },
      errors: [],
      latency: { unit: "µs" },
      load: { bottleneck: false, threads: 1 },
    },
  ]);
});

it("exits with 1 and prints the reasons when replies are wrong", async () => {
  const url = await serve((socket) => socket.send("no"));
  const { code, stdout } = await switchboard("bench", url, ...short).exit;
  expect(code).toBe(1);
  expect(stdout).toMatch(/error: received a text message of 2 bytes, which is not what was sent \(\d+ times\)\n/);
});

it("exits with 1 and prints the reason when the handshake is refused, also with --json", async () => {
  const url = await serve(echo, { verifyClient: () => false });
  const { code, stdout } = await switchboard("bench", url, "--duration", "1000", "--json").exit;
  expect(code).toBe(1);
  expect(JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "")).toMatchObject({
    connections: { opened: 0, failed: 100 },
    errors: ["the server answered 401 instead of 101 (100 times)"],
  });
});

it("exits with 1 and prints a report when the host name of the server is unknown", async () => {
  const { code, stdout, stderr } = await switchboard("bench", "ws://nowhere.invalid/", "--json").exit;
  expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
  expect(JSON.parse(stdout)).toMatchObject({
    event: "result",
    seconds: 0,
    perSecond: 0,
    connections: { opened: 0, failed: 100 },
    errors: [expect.stringMatching(/nowhere\.invalid$/)],
  });
});

it("prints no figures and exits with 3 when the load couldn't keep its own schedule", async () => {
  const url = await serve(echo);
  const { code, stdout } = await switchboard("bench", url, ...short, "--rate", "20000000").exit;
  expect(code).toBe(3);
  expect(stdout).toMatch(/The load generator was the bottleneck: 1 in 100 messages left more than [\d.]+ ms late\./);
  expect(stdout).not.toContain("latency");
});

it("counts in slices between the lines go and stop, and ends with its input", async () => {
  const program = switchboardIn({ input: "pipe" }, "bench", await serve(echo), "--slices", "--connections", "4");
  for (const slices of [1, 2]) {
    program.write("go\n");
    await program.prints(new RegExp(`("start"[^]*){${slices}}`));
    program.write("stop\n");
    await program.prints(new RegExp(`("slice"[^]*){${slices}}`));
  }
  program.endInput();
  const { code, stdout } = await program.exit;
  expect(code).toBe(0);
  const lines = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines.map(({ event }) => event)).toEqual(["connected", "start", "slice", "start", "slice", "result"]);
  for (const { messages } of lines.filter(({ event }) => event === "slice")) {
    expect(messages).toMatchObject({ received: messages.sent, lost: 0, wrong: 0 });
  }
});

it("exits with 2 when a slice should end that hasn't begun", async () => {
  const program = switchboardIn({ input: "pipe" }, "bench", await serve(echo), "--slices", "--connections", "4");
  program.write("stop\n");
  const { code, stderr } = await program.exit;
  expect({ code, stderr }).toEqual({ code: 2, stderr: 'switchboard: --slices expected the line go, not "stop"\n' });
});

it("reports the counts so far when it is interrupted", async () => {
  const program = switchboard("bench", await serve(echo), "--duration", "1000", "--warmup", "0", "--json");
  await program.prints(/"start"/);
  program.kill("SIGINT");
  const { code, stdout } = await program.exit;
  expect(code).toBe(0);
  expect(JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "")).toMatchObject({
    event: "result",
    messages: { lost: 0 },
  });
});
