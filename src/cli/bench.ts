/** The command `switchboard bench`: runs a load and prints its events and its report. */
import { fstatSync } from "node:fs";
import { createInterface } from "node:readline";
import { hasFailed } from "../load/report.ts";
import { type LoadEvent, runLoadTest, type SliceCommand } from "../load/run.ts";
import { BENCH_HELP, parseBenchFlags } from "./bench-flags.ts";
import { Progress } from "./bench-progress.ts";
import { closingTable } from "./bench-table.ts";
import { UsageError } from "./usage-error.ts";

/** Exit code when replies were lost or wrong, or when connections failed. */
const FAILED = 1;
/** Exit code when the load couldn't keep its own schedule, so that there are no figures. */
const REFUSED = 3;

/** Runs the command. Resolves with the exit code. Throws a UsageError for an invalid command line. */
export async function bench(args: readonly string[]): Promise<number> {
  const parsed = parseBenchFlags(args);
  if (parsed === undefined) {
    process.stdout.write(BENCH_HELP);
    return 0;
  }
  const { settings, json, slices } = parsed;
  const progress = json ? undefined : new Progress(settings, process.stderr);
  const print = (line: object): boolean => process.stdout.write(`${JSON.stringify(line)}\n`);
  const tell = (event: LoadEvent): void => {
    progress?.tell(event);
    if (json && event.event !== "progress") print(event);
  };
  const stop = new AbortController();
  // A second SIGINT ends the process at once.
  process.once("SIGINT", () => stop.abort());
  if (settings.scenario === "idle") stopWithInput(stop);
  const report = await runLoadTest(settings, tell, stop.signal, slices ? sliceCommands(stop.signal) : undefined);
  progress?.end();
  if (json) print({ event: "result", ...report });
  else process.stdout.write(closingTable(report, process.stdout));
  if (report.load.bottleneck) return REFUSED;
  return hasFailed(report) ? FAILED : 0;
}

/** Reads the lines of standard input, until its end. Throws a UsageError for any line but `go` and `stop` in turns. */
async function* sliceCommands(signal: AbortSignal): AsyncGenerator<SliceCommand> {
  let expected: SliceCommand = "go";
  try {
    for await (const line of createInterface({ input: process.stdin, signal })) {
      if (line !== expected)
        throw new UsageError(`--slices expected the line ${expected}, not ${JSON.stringify(line)}`);
      yield expected;
      expected = expected === "go" ? "stop" : "go";
    }
  } finally {
    // An open input would keep the process alive.
    process.stdin.destroy();
  }
}

/**
 * Stops the run when standard input ends, so that the program that started this one can end it. Only a pipe or a socket
 * counts: other inputs may have ended from the start.
 */
function stopWithInput(stop: AbortController): void {
  const input = fstatSync(0);
  if (!input.isFIFO() && !input.isSocket()) return;
  process.stdin.resume().once("end", () => stop.abort());
  process.stdin.unref();
}
