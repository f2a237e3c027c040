/**
 * `npm run bench:compare`: compares a run of the suite with the committed baseline. A regression is a ratio of
 * Switchboard to the same server that got worse by more than the noise of both runs. Only ratios are compared, because
 * they hold roughly on other machines too.
 *
 *     npm run bench:compare [-- RUN.json] [--update]
 *
 * RUN.json defaults to the newest file of `bench/results`. `--update` makes the run the baseline. Exit code 1: some
 * ratio is a regression.
 */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { baselineOf, compare } from "./baseline.ts";
import { comparisonTable } from "./report/terminal.ts";
import { parseResult } from "./results.ts";

const { values, positionals } = parseArgs({ allowPositionals: true, options: { update: { type: "boolean" } } });
const BASELINE = join(import.meta.dirname, "baseline.json");

const path =
  positionals[0] ??
  globSync(join(import.meta.dirname, "results/*.json"))
    .sort()
    .at(-1);
if (path === undefined) throw new Error("there is no run to compare: make one with npm run bench");
const run = baselineOf(parseResult(readFileSync(path, "utf8"), path));
if (values.update) {
  writeFileSync(BASELINE, `${JSON.stringify(run, null, 2)}\n`);
  console.log(`${path} is the baseline now: ${run.ratios.length} ratios`);
} else {
  const baseline = JSON.parse(readFileSync(BASELINE, "utf8"));
  const comparisons = compare(baseline, run);
  console.log(`${path} against the baseline of ${baseline.environment.date}, commit ${baseline.environment.commit}\n`);
  if (baseline.environment.cpu !== run.environment.cpu) {
    console.log(`The baseline is from another CPU (${baseline.environment.cpu}), which alone may change ratios.\n`);
  }
  console.log(comparisonTable(comparisons));
  if (comparisons.length === 0) throw new Error("the run and the baseline have no ratio in common");
  if (comparisons.some(({ verdict }) => verdict === "regression")) process.exitCode = 1;
}
