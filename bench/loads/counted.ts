import { setTimeout as delay } from "node:timers/promises";

/** What a load of ours tells the runner: a part of what `switchboard bench --json` says. */
export interface Outcome {
  readonly received: number;
  readonly lost: number;
  readonly wrong: number;
  /** µs, one by one. */
  readonly latencies: readonly number[];
  /** Sent later than they should have been, by so many ms: 99 of 100 were less. */
  readonly slipP99Ms: number;
}

/** A generator that can't keep its schedule any better is the bottleneck. */
const MAX_SLIP_MS = 5;

/**
 * Runs a load that is going on already: warm-up, then the counted time, told to the runner as it begins and ends.
 * `begin` starts the counting, `end` stops the load, sees that everything in flight arrives, and says what came.
 */
export async function count(
  seconds: { readonly warmup: number; readonly duration: number },
  load: { begin(): void; end(): Promise<Outcome> | Outcome },
): Promise<void> {
  await delay(seconds.warmup * 1000);
  load.begin();
  const startedAt = performance.now();
  const cpuBefore = process.cpuUsage();
  const before = performance.eventLoopUtilization();
  print({ event: "start" });
  await delay(seconds.duration * 1000);
  const busy = performance.eventLoopUtilization(before).utilization;
  const cpu = process.cpuUsage(cpuBefore);
  const elapsed = (performance.now() - startedAt) / 1000;
  const pending = load.end();
  print({ event: "end" });
  const { received, lost, wrong, latencies, slipP99Ms } = await pending;
  const counts = new Map<number, number>();
  for (const latency of latencies) {
    const micros = Math.round(latency);
    counts.set(micros, (counts.get(micros) ?? 0) + 1);
  }
  print({
    event: "result",
    seconds: elapsed,
    perSecond: received / elapsed,
    messages: { sent: received, received, lost, wrong },
    connections: { opened: 0, failed: 0, closed: 0 },
    latency: { unit: "µs", counts: [...counts].sort(([a], [b]) => a - b) },
    load: { cpuSeconds: (cpu.user + cpu.system) / 1e6, busy, bottleneck: slipP99Ms > MAX_SLIP_MS },
    errors: [],
  });
  process.exit(0);
}

function print(line: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
