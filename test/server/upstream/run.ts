/**
 * Runs the test suite of the official JavaScript client against `switchboard serve`, and prints a table with a row for
 * each file.
 *
 *    npm run conformance:centrifuge -- --suite DIR [--experimental]
 *
 * DIR is a checkout of the suite with its packages installed; README.md says how. Port 8000 has to be free. Exits with
 * 1 if a test failed that isn't of an experimental part of the protocol, or if a file didn't run.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { RunningProgram } from "../../e2e/support/process.ts";

/** The part of Jest's report that is read here. */
interface JestReport {
  readonly testResults: readonly {
    readonly name: string;
    /** Error of a file that couldn't run. */
    readonly message: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

interface Row {
  readonly file: string;
  readonly passed: number;
  readonly failed: readonly string[];
  readonly skipped: number;
  /** Numbers of tests of experimental parts, passed and all. They aren't in the other fields. */
  readonly experimental: { readonly passed: number; readonly all: number };
}

/** Files about parts that the server answers with error 108: map and shared poll subscriptions, debounced publishes. */
const EXPERIMENTAL_FILE = /^(map|shared_poll|debounce)\b/;
/** Tests about maps in other files. */
const EXPERIMENTAL_TEST = /^map( delta)?:/;
const BENCHMARK = /\.bench\.test\.ts$/;

const projectFolder = fileURLToPath(new URL("../../..", import.meta.url));
const { values } = parseArgs({
  options: { suite: { type: "string" }, experimental: { type: "boolean", default: false } },
});
if (values.suite === undefined) throw new TypeError("--suite DIR is missing: see test/server/upstream/README.md");
process.exitCode = await run(resolve(values.suite), values.experimental);

async function run(suite: string, withExperimental: boolean): Promise<number> {
  const files = readdirSync(join(suite, "src")).filter(
    (file) => file.endsWith(".test.ts") && !BENCHMARK.test(file) && (withExperimental || !EXPERIMENTAL_FILE.test(file)),
  );
  const report = await withServer(() => runJest(suite, files));
  const rows = files.map((file) => rowOf(file, report));
  print(rows);
  return rows.some(({ passed, failed, experimental }) => failed.length > 0 || passed + experimental.all === 0) ? 1 : 0;
}

/** Starts the command, and ends it after the work. */
async function withServer<Result>(work: () => Promise<Result>): Promise<Result> {
  const config = fileURLToPath(new URL("config.json", import.meta.url));
  const args = ["src/cli/main.ts", "serve", "--config", config];
  const server = spawn(process.execPath, args, { cwd: projectFolder, stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(server, "exit");
  try {
    await listening(server.stdout);
    return await work();
  } finally {
    server.kill();
    await ended;
  }
}

/** Resolves when the command has printed the address of its clients, and throws if its output ends before that. */
async function listening(output: Readable): Promise<void> {
  const lines: string[] = [];
  for await (const line of createInterface({ input: output })) {
    if (line.includes("/connection/websocket")) {
      // What follows is for the terminal.
      output.pipe(process.stderr);
      return;
    }
    lines.push(line);
  }
  throw new Error(`the server didn't start:\n${lines.join("\n")}`);
}

/** Runs the files one after the other. Returns Jest's report; tests that failed don't make it reject. */
async function runJest(suite: string, files: readonly string[]): Promise<JestReport> {
  const folder = await mkdtemp(join(tmpdir(), "switchboard-suite-"));
  const output = join(folder, "report.json");
  try {
    const jest = join(suite, "node_modules/jest/bin/jest.js");
    const paths = files.map((file) => `src/${file}`);
    const options = ["--runInBand", "--forceExit", "--json", "--outputFile", output, "--runTestsByPath"];
    const program = new RunningProgram(process.execPath, [jest, ...options, ...paths], { cwd: suite });
    const { code, stderr } = await program.exit;
    try {
      return JSON.parse(readFileSync(output, "utf8"));
    } catch (error) {
      throw new Error(`the suite wrote no report and ended with ${code}:\n${stderr}`, { cause: error });
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}

function rowOf(file: string, { testResults }: JestReport): Row {
  const result = testResults.find(({ name }) => basename(name) === file);
  const tests = result?.assertionResults ?? [];
  if (tests.length === 0 && result !== undefined) console.error(result.message);
  const isExperimental = (fullName: string) => EXPERIMENTAL_FILE.test(file) || EXPERIMENTAL_TEST.test(fullName);
  const rest = tests.filter(({ fullName }) => !isExperimental(fullName));
  const named = (status: string) => rest.filter((test) => test.status === status).map(({ fullName }) => fullName);
  const experimental = tests.filter(({ fullName }) => isExperimental(fullName));
  return {
    file,
    passed: named("passed").length,
    failed: named("failed"),
    skipped: named("pending").length,
    experimental: {
      passed: experimental.filter(({ status }) => status === "passed").length,
      all: experimental.length,
    },
  };
}

function print(rows: readonly Row[]): void {
  console.log("| file | passed | failed | skipped | experimental |\n| --- | --- | --- | --- | --- |");
  for (const { file, passed, failed, skipped, experimental } of rows) {
    const both = experimental.all === 0 ? "" : `${experimental.passed} of ${experimental.all}`;
    console.log(`| ${file} | ${passed} | ${failed.length} | ${skipped} | ${both} |`);
  }
  const passed = rows.reduce((sum, row) => sum + row.passed, 0);
  const failed = rows.flatMap((row) => row.failed.map((name) => `${row.file}: ${name}`));
  console.log(`\n${passed} passed, ${failed.length} failed`);
  for (const name of failed) console.log(`FAILED ${name}`);
}
