import type { Environment } from "../../bench/environment.ts";
import type { Run, ScenarioRuns, SuiteResult } from "../../bench/results.ts";

const environment: Environment = {
  date: "2026-01-02T03:04:05.000Z",
  cpu: "a CPU",
  cores: [0, 1],
  memoryGiB: 8,
  kernel: "Linux",
  versions: {},
  commit: "abc",
  command: "npm run bench",
};

/** A run of each CPU figure, in rounds from 1 on; undefined stands for one that failed. */
export function runsOf(...cpuMicros: readonly (number | undefined)[]): Run[] {
  return cpuMicros.map((cpu, i) => {
    const round = i + 1;
    if (cpu === undefined) return { outcome: "failed", round, reason: "3 lost messages" };
    const figures = { cpuMicros: cpu, perSecond: 1e6 / cpu };
    return { outcome: "measured", round, figures, latency: [[10, 99]], serverCores: 1, loadBusy: 0.5, foreignCores: 0 };
  });
}

/** A result with one scenario, in which ours and others took so much CPU. */
export function resultOf(runs: Readonly<Record<string, readonly Run[]>>, id = "echo-20"): SuiteResult {
  const scenario: ScenarioRuns = {
    id,
    title: "Echo 20 B, 1 in flight",
    group: "Echo",
    unit: "message",
    primary: "cpuMicros",
    reference: "switchboard",
    situations: false,
    entrants: Object.entries(runs).map(([entrant, all]) => ({ id: entrant, title: entrant, runs: all })),
  };
  const settings = { full: false, rounds: 3, seconds: 1, warmup: 1 };
  return { version: 1, environment, settings, absent: [], scenarios: [scenario] };
}
