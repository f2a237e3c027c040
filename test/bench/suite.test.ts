import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { expect, it, onTestFinished, vi } from "vitest";
import type { SuiteResult } from "../../bench/results.ts";
import { spawnOn } from "../../bench/server-process.ts";

const run = promisify(execFile);

it("writes all reports in a tiny run of the suite", async () => {
  const directory = mkdtempSync(join(os.tmpdir(), "switchboard-suite-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const json = join(directory, "run.json");
  const { stdout, stderr } = await run(process.execPath, [
    "bench/run.ts",
    "--scenario=echo-20",
    "--server=switchboard",
    "--server=node-net",
    "--server=broken",
    "--custom-server=broken=false",
    "--slices=2",
    "--slice=0.1",
    "--warmup=0.1",
    "--connections=10",
    `--json=${json}`,
  ]);
  expect(stdout).toContain("Echo 20 B, 1 in flight");
  expect(stderr).toContain("[2/2]");
  const result: SuiteResult = JSON.parse(readFileSync(json, "utf8"));
  expect(result.scenarios).toHaveLength(1);
  for (const { id, runs } of result.scenarios[0]?.variants ?? []) {
    if (id === "broken") {
      expect(runs).toMatchObject([1, 2].map((turn) => ({ outcome: "failed", turn })));
      continue;
    }
    const figures = { perSecond: expect.any(Number) };
    expect(runs).toMatchObject([1, 2].map((turn) => ({ outcome: "measured", turn, figures })));
  }
  const page = readFileSync(join(directory, "run.html"), "utf8");
  expect(page).toContain("<svg");
  expect(page).toContain("plain node:net");
  expect(page).not.toMatch(/<script[^>]+src=|<link/);
  expect(readFileSync(join(directory, "run.svg"), "utf8")).toContain("multiples of Switchboard's");
});

it("counts every connection of a cold storm", async () => {
  const directory = mkdtempSync(join(os.tmpdir(), "switchboard-suite-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const json = join(directory, "run.json");
  const flags = ["--scenario", "cold-storm", "--server", "node-net", "--json", json];
  const { stdout } = await run(process.execPath, ["bench/run.ts", ...flags]);
  expect(stdout).toContain("Cold storm: the first 8,000 connections");
  const result: SuiteResult = JSON.parse(readFileSync(json, "utf8"));
  const [measured] = result.scenarios[0]?.variants[0]?.runs ?? [];
  if (measured?.outcome !== "measured") expect.fail(JSON.stringify(measured));
  expect(measured.figures).toMatchObject({ cpuMicros: expect.any(Number), perSecond: expect.any(Number) });
  // The first connection, which checks that the server answers, has no latency.
  expect(measured.latency.reduce((sum, [, count]) => sum + count, 0)).toBe(7_999);
});

it.each([
  { cold: false, cache: expect.stringContaining("compile-cache") },
  { cold: true, cache: "undefined" },
])("starts a server with a cache of compiled code unless the run is cold (cold: $cold)", async ({ cold, cache }) => {
  vi.stubEnv("NODE_COMPILE_CACHE", undefined);
  onTestFinished(() => void vi.unstubAllEnvs());
  const child = spawnOn(undefined, [process.execPath, "-p", "require('node:module').getCompileCacheDir()"], { cold });
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  expect(line).toEqual(cache);
});
