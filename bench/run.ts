/**
 * The benchmark suite: ours and others as servers in processes of their own, all put to the same load, in rounds.
 *
 *     npm run bench [-- --full] [--scenario ID]… [--contestant ID]… [--rounds N] [--seconds S] [--warmup S] [--connections N]
 *         [--peer NAME="COMMAND ARGS"]… [--json FILE] [--html FILE] [--svg FILE] [--list]
 *
 * Ends with 1 when a run of ours failed. What is measured and how is in bench/README.md.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { UsageError } from "../src/cli/usage-error.ts";
import { createCertificate } from "../test/support/certificate.ts";
import { CONTESTANTS } from "./contestants.ts";
import { readEnvironment, usableCores } from "./environment.ts";
import { type BenchFlags, HELP, parseFlags } from "./flags.ts";
import { type Bench, measure } from "./measure.ts";
import { type Contest, planContests, type Ready, roundOf } from "./plan.ts";
import { Progress } from "./progress.ts";
import { formatFigure } from "./report/format.ts";
import { htmlReport } from "./report/html.ts";
import { chartSvg } from "./report/svg.ts";
import { terminalReport } from "./report/terminal.ts";
import type { Run, ScenarioRuns, SuiteResult } from "./results.ts";
import { SCENARIOS } from "./scenarios.ts";
import { HAS_TASKSET } from "./server-process.ts";

const flags = readFlags();
const settings = { full: flags.full, rounds: flags.rounds, seconds: flags.seconds, warmup: flags.warmup };
const { strangers } = flags;
const contestants = [...CONTESTANTS.filter((one) => strangers.every(({ id }) => id !== one.id)), ...strangers];
const found = await Promise.all(
  contestants.map(async (contestant) => ({ contestant, found: await contestant.find() })),
);
const ready = found.filter((one): one is Ready => one.found.kind === "found");
const asked = flags.contestants;
const absent = found.flatMap(({ contestant, found }) =>
  found.kind === "missing" && (asked?.includes(contestant.id) ?? true)
    ? [{ title: contestant.title, reason: found.reason }]
    : [],
);
const contests = plan();

if (flags.list) {
  for (const { scenario, jobs } of contests) {
    console.log(`${scenario.id.padEnd(18)} ${scenario.title}: ${jobs.map(({ entrant }) => entrant.id).join(", ")}`);
  }
} else {
  const result = await runAll(contests);
  console.log(terminalReport(result));
  writeReports(result);
  const ours = result.scenarios.flatMap(({ entrants, reference }) =>
    entrants.filter(({ id }) => id === reference).flatMap(({ runs }) => runs),
  );
  if (ours.some(({ outcome }) => outcome === "failed")) process.exitCode = 1;
}

function readFlags(): BenchFlags {
  try {
    const read = parseFlags(process.argv.slice(2));
    if (!read.help) return read;
    process.stdout.write(HELP);
    process.exit(0);
  } catch (error) {
    return complain(error);
  }
}

/** Ends with 2 for names that don't exist. */
function plan(): Contest[] {
  const known = [...contestants, ...SCENARIOS.flatMap(({ entrants }) => entrants ?? [])].map(({ id }) => id);
  try {
    for (const name of asked ?? []) {
      if (known.includes(name)) continue;
      throw new RangeError(`there is no contestant ${name}, only ${contestants.map(({ id }) => id).join(", ")}`);
    }
    const { full, scenarios } = flags;
    return planContests(SCENARIOS, ready, { full, scenarios, contestants: asked });
  } catch (error) {
    return complain(error);
  }
}

function complain(error: unknown): never {
  if (!(error instanceof UsageError || error instanceof RangeError)) throw error;
  process.stderr.write(`bench: ${error.message}\n`);
  process.exit(2);
}

async function runAll(contests: readonly Contest[]): Promise<SuiteResult> {
  if (!HAS_TASKSET)
    console.error("there is no taskset here: servers and loads share the cores, and figures are worth less");
  const versions = Object.fromEntries(
    ready.flatMap(({ contestant, found }) => (found.version === undefined ? [] : [[contestant.id, found.version]])),
  );
  const environment = readEnvironment(versions);
  const directory = mkdtempSync(join(os.tmpdir(), "switchboard-bench-"));
  const bench: Bench = {
    ...settings,
    connections: flags.connections,
    cores: usableCores(),
    tls: { key: join(directory, "key.pem"), cert: join(directory, "cert.pem") },
  };
  const { key, cert } = createCertificate();
  writeFileSync(bench.tls.key, key);
  writeFileSync(bench.tls.cert, cert);
  const progress = new Progress(contests.reduce((sum, { jobs }) => sum + jobs.length, 0) * settings.rounds);
  const scenarios: ScenarioRuns[] = [];
  for (const contest of contests) scenarios.push(await runContest(contest, bench, progress));
  progress.close();
  rmSync(directory, { recursive: true });
  return { version: 1, environment, settings, absent, scenarios };
}

/** Round by round, so that what changes on the machine changes for all. */
async function runContest({ scenario, jobs }: Contest, bench: Bench, progress: Progress): Promise<ScenarioRuns> {
  const runs = new Map<string, Run[]>(jobs.map(({ entrant }) => [entrant.id, []]));
  for (let round = 1; round <= settings.rounds; round++) {
    for (const job of roundOf(jobs, round)) {
      progress.begin(`${scenario.title}, round ${round}: ${job.entrant.title}`);
      const run = await measure(job, round, bench);
      runs.get(job.entrant.id)?.push(run);
      progress.end(
        run.outcome === "failed"
          ? `failed: ${run.reason}`
          : formatFigure(scenario.primary, run.figures[scenario.primary]),
      );
    }
  }
  const { id, title, group, unit, primary, reference } = scenario;
  const entrants = jobs.map(({ entrant }) => ({
    id: entrant.id,
    title: entrant.title,
    runs: runs.get(entrant.id) ?? [],
  }));
  return { id, title, group, unit, primary, reference, situations: scenario.entrants !== undefined, entrants };
}

function writeReports(result: SuiteResult): void {
  const stamp = result.environment.date.slice(0, 16).replace(":", "");
  const json = resolve(flags.json ?? join(import.meta.dirname, "results", `${stamp}.json`));
  const html = resolve(flags.html ?? json.replace(/(\.json)?$/, ".html"));
  const svg = resolve(flags.svg ?? json.replace(/(\.json)?$/, ".svg"));
  mkdirSync(dirname(json), { recursive: true });
  writeFileSync(json, JSON.stringify(result));
  writeFileSync(html, htmlReport(result));
  writeFileSync(svg, chartSvg(result));
  console.log(`\n${[html, json, svg].map((path) => relative(process.cwd(), path)).join("\n")}`);
}
