import { fstatSync } from "node:fs";
import { hasFailed } from "../load/report.ts";
import { type LoadEvent, runLoadTest } from "../load/run.ts";
import { BENCH_HELP, parseBenchFlags } from "./bench-flags.ts";
import { Progress } from "./bench-progress.ts";
import { closingTable } from "./bench-table.ts";

const FAILED = 1;
const REFUSED = 3;

/** `switchboard bench`; resolves with the exit code. */
export async function bench(args: readonly string[]): Promise<number> {
  const parsed = parseBenchFlags(args);
  if (parsed === undefined) {
    process.stdout.write(BENCH_HELP);
    return 0;
  }
  const { settings, json } = parsed;
  const progress = json ? undefined : new Progress(settings, process.stderr);
  const print = (line: object): boolean => process.stdout.write(`${JSON.stringify(line)}\n`);
  const tell = (event: LoadEvent): void => {
    progress?.tell(event);
    if (json && event.event !== "progress") print(event);
  };
  const stop = new AbortController();
  // A second one ends the process at once.
  process.once("SIGINT", () => stop.abort());
  if (settings.scenario === "idle") stopWithInput(stop);
  const report = await runLoadTest(settings, tell, stop.signal);
  progress?.end();
  if (json) print({ event: "result", ...report });
  else process.stdout.write(closingTable(report, process.stdout));
  if (report.load.bottleneck) return REFUSED;
  return hasFailed(report) ? FAILED : 0;
}

/** For those that hold connections until whoever started them has seen enough. Without a pipe there is nobody to close it. */
function stopWithInput(stop: AbortController): void {
  const input = fstatSync(0);
  if (!input.isFIFO() && !input.isSocket()) return;
  process.stdin.resume().once("end", () => stop.abort());
  process.stdin.unref();
}
