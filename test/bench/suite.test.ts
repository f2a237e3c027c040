import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it, onTestFinished } from "vitest";
import type { SuiteResult } from "../../bench/results.ts";

const run = promisify(execFile);

it("a tiny run of the suite ends with all its reports", async () => {
  const directory = mkdtempSync(join(os.tmpdir(), "switchboard-suite-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const json = join(directory, "run.json");
  const { stdout, stderr } = await run(process.execPath, [
    ...["bench/run.ts", "--scenario", "echo-20", "--contestant", "switchboard", "--contestant", "node-net"],
    ...["--rounds", "1", "--seconds", "0.3", "--warmup", "0.1", "--connections", "10", "--json", json],
  ]);
  expect(stdout).toContain("Echo 20 B, 1 in flight");
  expect(stderr).toContain("[2/2]");
  const result: SuiteResult = JSON.parse(readFileSync(json, "utf8"));
  expect(result.scenarios).toHaveLength(1);
  for (const { runs } of result.scenarios[0]?.entrants ?? []) {
    expect(runs).toMatchObject([{ outcome: "measured", round: 1, figures: { perSecond: expect.any(Number) } }]);
  }
  const page = readFileSync(join(directory, "run.html"), "utf8");
  expect(page).toContain("<svg");
  expect(page).toContain("plain node:net");
  expect(page).not.toMatch(/<script[^>]+src=|<link/);
  expect(readFileSync(join(directory, "run.svg"), "utf8")).toContain("multiples of Switchboard's");
});
