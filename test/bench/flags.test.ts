import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { HELP, parseFlags } from "../../bench/flags.ts";

const run = promisify(execFile);

it("runs briefly by default, and longer with --full", () => {
  expect(parseFlags([])).toMatchObject({ rounds: 1, slices: 15, slice: 0.3, seconds: 1, warmup: undefined });
  expect(parseFlags(["--full"])).toMatchObject({ rounds: 3, slices: 15, seconds: 4 });
  expect(parseFlags(["--bars"])).toMatchObject({ rounds: 2, slices: 15, full: false });
  expect(parseFlags(["--full", "--rounds", "1", "--seconds", "0.5"])).toMatchObject({ rounds: 1, seconds: 0.5 });
});

it.each([
  { args: ["--scenarios", "echo"], says: "Unknown option '--scenarios'; npm run bench -- --help lists the flags" },
  { args: ["--rounds", "1.5"], says: "--rounds takes a whole number above 0, got 1.5" },
  { args: ["--slices", "0"], says: "--slices takes a whole number above 0, got 0" },
  { args: ["--seconds", "0"], says: "--seconds takes a number above 0, got 0" },
  { args: ["--connections", "many"], says: "--connections takes a whole number above 0, got many" },
  { args: ["--custom-server", "x"], says: "--custom-server takes NAME=COMMAND, got x" },
])("names the fault of $args", ({ args, says }) => {
  expect(() => parseFlags(args)).toThrow(says);
});

it("lists every flag in the help, and the known scenarios in the error for an unknown one", async () => {
  const { stdout } = await run(process.execPath, ["bench/run.ts", "--help"]);
  expect(stdout).toBe(HELP);
  for (const flag of Object.keys(parseFlags([])).filter((name) => !["customServers", "help"].includes(name))) {
    expect(HELP).toContain(`--${flag.replace(/s$/, "")}`);
  }
  const failed = run(process.execPath, ["bench/run.ts", "--scenario", "none"]);
  await expect(failed).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining("only echo-20") });
});

it("starts a known server by another command, or adds an unknown server", async () => {
  const { customServers } = parseFlags([
    "--custom-server=uwebsockets=node server.js --fast",
    "--custom-server=mine=./mine",
  ]);
  expect(customServers).toMatchObject([
    { id: "uwebsockets", title: "uWebSockets.js" },
    { id: "mine", title: "mine" },
  ]);
  expect(await customServers[0]?.find()).toEqual({
    kind: "found",
    command: ["node", "server.js", "--fast"],
    version: undefined,
  });
});
