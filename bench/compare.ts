/**
 * Compares a run of the suite with the committed baseline, and fails when ours has become slower against the same peers by more than both runs'
 * own noise. Only ratios are compared: they hold on other machines too, roughly.
 *
 *     npm run bench:compare [-- RUN.json] [--update]
 *
 * Without a file the newest of `bench/results`. `--update` makes the run the baseline. Ends with 1 after a regression.
 */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { baselineOf, compare } from "./baseline.ts";
import { comparisonTable } from "./report/terminal.ts";

const { values, positionals } = parseArgs({ allowPositionals: true, options: { update: { type: "boolean" } } });
const BASELINE = join(import.meta.dirname, "baseline.json");

const path =
  positionals[0] ??
  globSync(join(import.meta.dirname, "results/*.json"))
    .sort()
    .at(-1);
if (path === undefined) throw new Error("there is no run to compare: npm run bench makes one");
const run = baselineOf(JSON.parse(readFileSync(path, "utf8")));
if (values.update) {
  writeFileSync(BASELINE, `${JSON.stringify(run, null, 2)}\n`);
  console.log(`${path} is the baseline now: ${run.ratios.length} ratios`);
} else {
  const baseline = JSON.parse(readFileSync(BASELINE, "utf8"));
  const comparisons = compare(baseline, run);
  console.log(`${path} against the baseline of ${baseline.environment.date}, commit ${baseline.environment.commit}\n`);
  if (baseline.environment.cpu !== run.environment.cpu) {
    console.log(`The baseline is from another CPU (${baseline.environment.cpu}): ratios may differ for that alone.\n`);
  }
  console.log(comparisonTable(comparisons));
  if (comparisons.length === 0) throw new Error("the run and the baseline have no ratio in common");
  if (comparisons.some(({ verdict }) => verdict === "regression")) process.exitCode = 1;
}
