/** What the loads of `serve.ts` share: the servers, interleaved rounds, and the lines that they print. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { HAS_TASKSET, ServerProcess } from "../server-process.ts";
import { median, spreadOf } from "../statistics.ts";

export interface Settings {
  readonly rounds: number;
  /** Counted time of a variant in a round, in seconds. */
  readonly seconds: number;
  /** Number of subscribers, and a tenth of the clients that come back. */
  readonly clients: number;
}

/** One way to do the work: it is measured once in each round. */
export interface Variant {
  readonly name: string;
  readonly server: ServerProcess;
  /** Name of the variant that this one is compared with. */
  readonly reference?: string;
  /** Bar for the ratio, as it is printed. */
  readonly bar?: string;
  /** Does the work. Returns the number of units. The server's CPU is counted from the call to the end. */
  run(): Promise<number>;
  /** Tidies up after the counted time. */
  after?(): Promise<void>;
}

const CORES = os.availableParallelism();

/** Raises a program over the load. Without the right to do that, `nice` runs it all the same. */
const RAISED = ["nice", "-n", "-15"];
const AUTOGROUP = "/proc/self/autogroup";

/**
 * Raises this session, servers included, over the other sessions of the machine, for figures in time of the wall. Needs
 * root, and does nothing without. Linux weighs sessions against each other first: `nice` counts only inside of one.
 * Returns what undoes it.
 */
export function raiseSession(): () => void {
  try {
    const before = /nice (-?\d+)/.exec(readFileSync(AUTOGROUP, "utf8"))?.[1] ?? "0";
    writeFileSync(AUTOGROUP, "-15");
    return () => writeFileSync(AUTOGROUP, before);
  } catch {
    console.error(
      "other programs count: raising the priority of the measurement needs root, and CONFIG_SCHED_AUTOGROUP",
    );
    return () => {};
  }
}

/**
 * Starts a program of this folder on the first core.
 *
 * @param raised true to raise the server over the load
 * @param flags flags of Node
 */
export function startServer(
  file: string,
  { raised = false, flags = [] as readonly string[] } = {},
): Promise<ServerProcess> {
  const command = [...(raised ? RAISED : []), process.execPath, ...flags, join(import.meta.dirname, file)];
  return ServerProcess.start(command, CORES > 1 ? [0] : undefined);
}

/** Moves this process to the last core, away from the servers. */
export function pinLoad(): void {
  if (HAS_TASKSET && CORES > 1) execFileSync("taskset", ["-a", "-cp", String(CORES - 1), String(process.pid)]);
}

/** Measures variants in turns, every other round in reverse order, and prints the CPU of each unit and the ratios. */
export async function measureVariants(
  title: string,
  unit: string,
  variants: readonly Variant[],
  { rounds }: Pick<Settings, "rounds">,
): Promise<Map<string, number[]>> {
  const figures = new Map<string, number[]>(variants.map(({ name }) => [name, []]));
  for (const { run, after } of variants) {
    await run();
    await after?.();
  }
  for (let round = 0; round < rounds; round++) {
    for (const variant of round % 2 === 0 ? variants : variants.toReversed()) {
      const before = variant.server.cpuSeconds();
      const units = await variant.run();
      figures.get(variant.name)?.push(((variant.server.cpuSeconds() - before) / units) * 1e6);
      await variant.after?.();
    }
  }
  console.log(`\n${title}: CPU of the server for each ${unit}, medians of ${rounds} rounds`);
  for (const { name, reference, bar } of variants) {
    const own = figures.get(name) ?? [];
    const others = reference === undefined ? undefined : figures.get(reference);
    const ratio = others === undefined ? "" : ` ${ratioText(own, others)} of ${reference}${bar ? ` (bar ${bar})` : ""}`;
    console.log(`  ${name.padEnd(28)} ${median(own).toFixed(2).padStart(8)} µs${ratio}`);
  }
  return figures;
}

/** Ratios round by round, because what disturbs the machine in a round disturbs both. */
function ratioText(own: readonly number[], others: readonly number[]): string {
  const ratios = own.map((figure, round) => figure / (others[round] ?? Number.NaN));
  const { low, high } = spreadOf(ratios) ?? { low: Number.NaN, high: Number.NaN };
  return `${median(ratios).toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
}
