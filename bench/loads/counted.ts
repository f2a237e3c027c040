/** The phases that the loads of this folder share, and their lines on stdout. */
import { setTimeout as delay } from "node:timers/promises";

/** The outcome of a load, which becomes its result line. */
export interface Outcome {
  readonly received: number;
  readonly lost: number;
  readonly wrong: number;
  /** Each latency, in µs. */
  readonly latencies: readonly number[];
  /** 99th percentile of the delay with which messages were sent after they were due, in ms. */
  readonly slipP99Ms: number;
}

/** Delay from which the load itself is the bottleneck, in ms. */
const MAX_SLIP_MS = 5;

/**
 * Leads a running load through its warm-up and its counted time, prints the lines that `LoadProcess` reads, and ends
 * the process.
 *
 * @param seconds lengths of the warm-up and of the counted time, in seconds
 * @param load `begin` starts the counting. `end` stops the load, waits until all messages in flight have arrived, and
 *   returns the outcome.
 */
export async function count(
  seconds: { readonly warmup: number; readonly duration: number },
  load: { begin(): void; end(): Promise<Outcome> | Outcome },
): Promise<void> {
  await delay(seconds.warmup * 1000);
  load.begin();
  const meter = begin();
  await delay(seconds.duration * 1000);
  const counted = meter.read();
  const pending = load.end();
  print({ event: "end" });
  finish(await pending, counted);
}

/**
 * Counts the time that a piece of work takes, prints the lines that `LoadProcess` reads, and ends the process.
 *
 * @param work returns the outcome when everything has arrived
 */
export async function countWork(work: () => Promise<Outcome>): Promise<void> {
  const meter = begin();
  const outcome = await work();
  const counted = meter.read();
  print({ event: "end" });
  finish(outcome, counted);
}

/** Tells the runner that the streams of the server keep this number of publications, and waits while it measures. */
export async function toldStored(publications: number, seconds: number): Promise<void> {
  print({ event: "stored", publications });
  await delay(seconds * 1000);
}

/** What a load took for the counted time. */
interface Counted {
  readonly elapsed: number;
  readonly cpuSeconds: number;
  readonly busy: number;
}

/** Begins the counted time. */
function begin(): { read(): Counted } {
  const startedAt = performance.now();
  const cpuBefore = process.cpuUsage();
  const before = performance.eventLoopUtilization();
  print({ event: "start" });
  return {
    read() {
      const busy = performance.eventLoopUtilization(before).utilization;
      const cpu = process.cpuUsage(cpuBefore);
      return {
        elapsed: (performance.now() - startedAt) / 1000,
        cpuSeconds: (cpu.user + cpu.system) / 1e6,
        busy,
      };
    },
  };
}

function finish(
  { received, lost, wrong, latencies, slipP99Ms }: Outcome,
  { elapsed, cpuSeconds, busy }: Counted,
): void {
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
    load: { cpuSeconds, busy, bottleneck: slipP99Ms > MAX_SLIP_MS },
    errors: [],
  });
  process.exit(0);
}

function print(line: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
