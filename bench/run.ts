/**
 * The benchmark suite, `npm run bench`: starts Switchboard and other servers as processes of their own, puts the same
 * load on all of them in rounds, and writes the reports.
 *
 *     npm run bench [-- --full] [--list] [--scenario ID]… [--server ID]… [--custom-server NAME="COMMAND ARGS"]…
 *         [--rounds N] [--slices N] [--slice S] [--seconds S] [--warmup S] [--connections N]
 *         [--json FILE] [--html FILE] [--svg FILE] [--markdown FILE]
 *
 * Exit code: 1 if a run of a scenario's reference variant failed, 2 for invalid flags. The method is in
 * bench/README.md.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { createCertificate } from "./certificate.ts";
import { readEnvironment, usableCores } from "./environment.ts";
import { type BenchFlags, HELP, parseFlags } from "./flags.ts";
import { measure } from "./measure.ts";
import { orderOfTurn, planScenarioRuns, type ReadyServer, type ScenarioRun } from "./plan.ts";
import { Progress } from "./progress.ts";
import { formatFigure } from "./report/format.ts";
import { htmlReport } from "./report/html.ts";
import { markdownReport } from "./report/markdown.ts";
import { chartSvg } from "./report/svg.ts";
import { terminalReport } from "./report/terminal.ts";
import { RESULT_VERSION, type Run, type ScenarioResult, type SuiteResult } from "./results.ts";
import { SCENARIOS, type Scenario } from "./scenarios.ts";
import { HAS_TASKSET } from "./server-process.ts";
import { SERVERS } from "./servers.ts";
import { measureInSlices } from "./slices.ts";
import { countsInSlices, type Job, type RunSettings } from "./start.ts";
import { URING_THRESHOLDS } from "./thresholds.ts";
import { UsageError } from "./usage-error.ts";

const flags = readFlags();
const settings: SuiteResult["settings"] = {
  full: flags.full,
  rounds: flags.rounds,
  slices: flags.slices,
  sliceSeconds: flags.slice,
  seconds: flags.seconds,
  warmup: flags.warmup,
};
const { customServers, servers: selectedServers } = flags;
const servers = [...SERVERS.filter((server) => customServers.every(({ id }) => id !== server.id)), ...customServers];
const candidates = await Promise.all(servers.map(async (server) => ({ server, found: await server.find() })));
const ready = candidates.filter((candidate): candidate is ReadyServer => candidate.found.kind === "found");
const missing = candidates.flatMap(({ server, found }) =>
  found.kind === "missing" && (selectedServers?.includes(server.id) ?? true)
    ? [{ title: server.title, reason: found.reason }]
    : [],
);
const scenarioRuns = plan();

if (flags.list) {
  for (const { scenario, jobs } of scenarioRuns) {
    console.log(`${scenario.id.padEnd(18)} ${scenario.title}: ${jobs.map(({ variant }) => variant.id).join(", ")}`);
  }
} else {
  const result = await runAll();
  console.log(terminalReport(result));
  writeReports(result);
  const ours = result.scenarios.flatMap(({ variants, reference }) =>
    variants.filter(({ id }) => id === reference).flatMap(({ runs }) => runs),
  );
  if (ours.some(({ outcome }) => outcome === "failed")) process.exitCode = 1;
}

function readFlags(): BenchFlags {
  const parsed = orExit(() => parseFlags(process.argv.slice(2)));
  if (!parsed.help) return parsed;
  process.stdout.write(HELP);
  process.exit(0);
}

function plan(): ScenarioRun[] {
  return orExit(() => {
    const known = [...servers, ...SCENARIOS.flatMap(({ variants }) => variants ?? [])].map(({ id }) => id);
    const unknown = selectedServers?.find((name) => !known.includes(name));
    if (unknown !== undefined) {
      throw new UsageError(`there is no server ${unknown}, only ${servers.map(({ id }) => id).join(", ")}`);
    }
    const { full, scenarios } = flags;
    return planScenarioRuns(SCENARIOS, ready, { full, scenarios, servers: selectedServers });
  });
}

/** Returns what `check` returns. Prints the message of a `UsageError` and ends the process with exit code 2. */
function orExit<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`bench: ${error.message}\n`);
    process.exit(2);
  }
}

async function runAll(): Promise<SuiteResult> {
  if (!HAS_TASKSET) {
    console.error("taskset isn't installed: servers and loads share the cores, so the figures are less reliable");
  }
  const versions = Object.fromEntries(
    ready.flatMap(({ server, found }) => (found.version === undefined ? [] : [[server.id, found.version]])),
  );
  const environment = readEnvironment(versions);
  const directory = mkdtempSync(join(os.tmpdir(), "switchboard-bench-"));
  const runSettings: RunSettings = {
    ...settings,
    connections: flags.connections,
    cores: usableCores(),
    tls: { key: join(directory, "key.pem"), cert: join(directory, "cert.pem") },
  };
  const { key, cert } = createCertificate();
  writeFileSync(runSettings.tls.key, key);
  writeFileSync(runSettings.tls.cert, cert);
  const steps = scenarioRuns.map(({ scenario, jobs }) =>
    countsInSlices(scenario) ? settings.slices : scenario.runsPerRound * jobs.length,
  );
  const progress = new Progress(steps.reduce((sum, count) => sum + count, 0) * settings.rounds);
  const scenarios: ScenarioResult[] = [];
  for (const scenarioRun of scenarioRuns) scenarios.push(await runScenario(scenarioRun, runSettings, progress));
  progress.close();
  rmSync(directory, { recursive: true });
  return { version: RESULT_VERSION, environment, settings, missing, scenarios };
}

/** Runs a scenario, with its servers in turns, so that a change on the machine affects all variants. */
async function runScenario(run: ScenarioRun, runSettings: RunSettings, progress: Progress): Promise<ScenarioResult> {
  const { scenario, jobs } = run;
  const runs = countsInSlices(scenario)
    ? await runSlices(run, runSettings, progress)
    : await runProcesses(run, runSettings, progress);
  const { id, title, group, unit, primary, reference } = scenario;
  const variants = jobs.map((job) => ({ id: job.variant.id, title: job.variant.title, runs: runs.get(job) ?? [] }));
  return { id, title, group, unit, primary, reference, switchboardOnly: scenario.variants !== undefined, variants };
}

/** Makes the runs of a scenario that counts in slices. Each round starts the servers afresh. */
async function runSlices(
  { scenario, jobs }: ScenarioRun,
  runSettings: RunSettings,
  progress: Progress,
): Promise<ReadonlyMap<Job, readonly Run[]>> {
  const runs = new Map<Job, Run[]>(jobs.map((job) => [job, []]));
  for (let round = 0; round < settings.rounds; round++) {
    const measured = await measureInSlices(jobs, round * settings.slices + 1, runSettings, {
      warming: ({ variant }) => progress.begin(`${scenario.title}: ${variant.title} warms up`),
      turnBegan: (turn) => progress.begin(`${scenario.title}, turn ${turn}`),
      turnEnded: (_, ofTurn) =>
        progress.end(
          [...ofTurn].map(([{ variant }, run]) => `${variant.title} ${outcomeOf(scenario, run)}`).join(", "),
        ),
    });
    for (const [job, ofRound] of measured) runs.get(job)?.push(...ofRound);
  }
  return runs;
}

/** Makes the runs of a scenario whose every run has a process of its own. */
async function runProcesses(
  { scenario, jobs }: ScenarioRun,
  runSettings: RunSettings,
  progress: Progress,
): Promise<ReadonlyMap<Job, readonly Run[]>> {
  const runs = new Map<Job, Run[]>(jobs.map((job) => [job, []]));
  for (let turn = 1; turn <= settings.rounds * scenario.runsPerRound; turn++) {
    for (const job of orderOfTurn(jobs, turn)) {
      progress.begin(`${scenario.title}, turn ${turn}: ${job.variant.title}`);
      const run = await measure(job, turn, runSettings);
      runs.get(job)?.push(run);
      progress.end(outcomeOf(scenario, run));
    }
  }
  return runs;
}

function outcomeOf({ primary }: Scenario, run: Run): string {
  return run.outcome === "failed" ? `failed: ${run.reason}` : formatFigure(primary, run.figures[primary]);
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
  const markdown = flags.markdown ?? (flags.bars ? json.replace(/(\.json)?$/, ".md") : undefined);
  if (markdown !== undefined) {
    const text = markdownReport(result, URING_THRESHOLDS);
    writeFileSync(resolve(markdown), text);
    console.log(`\n${text}`);
  }
  console.log(`\n${[html, json, svg].map((path) => relative(process.cwd(), path)).join("\n")}`);
}
