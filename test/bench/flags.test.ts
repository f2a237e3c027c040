import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { HELP, parseFlags } from "../../bench/flags.ts";

const run = promisify(execFile);

it("has a short run by default, and a longer one by --full", () => {
  expect(parseFlags([])).toMatchObject({ rounds: 3, seconds: 1, warmup: 0.6, full: false, scenarios: undefined });
  expect(parseFlags(["--full"])).toMatchObject({ rounds: 7, seconds: 4, warmup: 2 });
  expect(parseFlags(["--full", "--rounds", "1", "--seconds", "0.5"])).toMatchObject({ rounds: 1, seconds: 0.5 });
});

it.each([
  { args: ["--scenarios", "echo"], says: "Unknown option '--scenarios'; npm run bench -- --help lists the flags" },
  { args: ["--rounds", "1.5"], says: "--rounds takes a whole number above 0, got 1.5" },
  { args: ["--seconds", "0"], says: "--seconds takes a number above 0, got 0" },
  { args: ["--connections", "many"], says: "--connections takes a whole number above 0, got many" },
  { args: ["--peer", "x"], says: "--peer takes name=command, got x" },
])("says what is wrong with $args", ({ args, says }) => {
  expect(() => parseFlags(args)).toThrow(says);
});

it("names every flag in its help, and the names that exist where one doesn't", async () => {
  const { stdout } = await run(process.execPath, ["bench/run.ts", "--help"]);
  expect(stdout).toBe(HELP);
  for (const flag of Object.keys(parseFlags([])).filter((name) => !["strangers", "help"].includes(name))) {
    expect(HELP).toContain(`--${flag.replace(/s$/, "")}`);
  }
  const failed = run(process.execPath, ["bench/run.ts", "--scenario", "none"]);
  await expect(failed).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining("only echo-20") });
});

it("starts a contestant in another way, under its own title and with its own abilities, or one that nobody knows", async () => {
  const { strangers } = parseFlags(["--peer", "uwebsockets=node peer.js --fast", "--peer", "mine=./mine"]);
  expect(strangers).toMatchObject([
    { id: "uwebsockets", title: "uWebSockets.js" },
    { id: "mine", title: "mine" },
  ]);
  expect(await strangers[0]?.find()).toEqual({
    kind: "found",
    command: ["node", "peer.js", "--fast"],
    version: undefined,
  });
});
