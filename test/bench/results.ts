/** Results of the suite for tests, made from plain figures. */
import type { Environment } from "../../bench/environment.ts";
import { RESULT_VERSION, type Run, type ScenarioResult, type SuiteResult } from "../../bench/results.ts";

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

/**
 * Makes a run of each CPU figure (µs), in turns from 1 on, with three quarters of the time in the kernel. undefined
 * makes a failed run.
 */
export function runsOf(...cpuMicros: readonly (number | undefined)[]): Run[] {
  return cpuMicros.map((cpu, i) => {
    const turn = i + 1;
    if (cpu === undefined) return { outcome: "failed", turn, reason: "3 lost messages" };
    const figures = { cpuMicros: cpu, perSecond: 1e6 / cpu };
    return {
      outcome: "measured",
      turn,
      figures,
      latency: [[10, 99]],
      userSeconds: 0.1,
      kernelSeconds: 0.3,
      idleCpuSeconds: 0.004,
      serverCores: 1,
      loadBusy: 0.5,
      foreignCores: 0,
    };
  });
}

/** Makes a result with one scenario from the runs of each variant, by id. */
export function resultOf(runs: Readonly<Record<string, readonly Run[]>>, id = "echo-20"): SuiteResult {
  const scenario: ScenarioResult = {
    id,
    title: "Echo 20 B, 1 in flight",
    group: "Echo",
    unit: "message",
    primary: "cpuMicros",
    reference: "switchboard",
    switchboardOnly: false,
    variants: Object.entries(runs).map(([variant, all]) => ({ id: variant, title: variant, runs: all })),
  };
  const settings = { full: false, rounds: 1, slices: 3, sliceSeconds: 0.3, seconds: 1, warmup: undefined };
  return { version: RESULT_VERSION, environment, settings, missing: [], scenarios: [scenario] };
}
