/**
 * CPU per echoed message, ours against `ws`, side by side: the server pinned to core 0, the load to core 1, rounds interleaved.
 *
 *     npm run bench -- [--bytes 20] [--connections 100] [--inflight 1] [--rounds 5]
 *
 * CPU is what the operating system accounts to the whole server process, all its threads.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    bytes: { type: "string", default: "20" },
    connections: { type: "string", default: "100" },
    inflight: { type: "string", default: "1" },
    rounds: { type: "string", default: "5" },
    time: { type: "string", default: "3000" },
  },
});

const contestants = [
  { name: "switchboard", script: "targets/switchboard.ts" },
  { name: "ws", script: "peers/ws.ts" },
];
const TICKS_PER_SECOND = 100;

interface Run {
  readonly cpuMicros: number;
  readonly perSecond: number;
  readonly load: number;
}

const runs = new Map<string, Run[]>(contestants.map(({ name }) => [name, []]));
for (let round = 1; round <= Number(values.rounds); round++) {
  for (const { name, script } of contestants) {
    const run = await measure(script);
    runs.get(name)?.push(run);
    console.log(
      `round ${round}  ${name.padEnd(12)} ${run.cpuMicros.toFixed(2)} µs CPU/message  ${Math.round(run.perSecond)} messages/s  load ${(run.load * 100).toFixed(0)}% busy`,
    );
  }
}
const ours = runs.get("switchboard") ?? [];
const theirs = runs.get("ws") ?? [];
const ratios = ours.map((run, round) => run.cpuMicros / (theirs[round] as Run).cpuMicros);
console.log(
  `\nmedian CPU per message: switchboard ${median(ours.map((run) => run.cpuMicros)).toFixed(2)} µs, ws ${median(theirs.map((run) => run.cpuMicros)).toFixed(2)} µs`,
);
console.log(
  `median ratio, round by round: ${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})`,
);

async function measure(script: string): Promise<Run> {
  const server = pinned(0, [script, "--port", "0", "--shards", "1", "--mode", "echo"]);
  const port = /\d+/.exec(await line(server))?.[0] ?? "";
  const { bytes, connections, inflight, time } = values;
  const load = pinned(1, [
    "load.ts",
    "--port",
    port,
    "--connections",
    connections,
    "--bytes",
    bytes,
    "--inflight",
    inflight,
    "--time",
    time,
  ]);
  const lines = createInterface({ input: load.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  await lines.next();
  const before = cpuSeconds(server);
  const result = JSON.parse((await lines.next()).value ?? "null");
  const cpu = cpuSeconds(server) - before;
  server.kill("SIGTERM");
  await once(server, "exit");
  return { cpuMicros: (cpu / result.messages) * 1e6, perSecond: result.messages / result.seconds, load: result.load };
}

function pinned(core: number, args: readonly string[]): ChildProcess {
  const stdio = ["ignore", "pipe", "inherit"] as const;
  return spawn("taskset", ["-c", String(core), process.execPath, ...args], {
    cwd: import.meta.dirname,
    stdio: [...stdio],
  });
}

async function line(child: ChildProcess): Promise<string> {
  for await (const one of createInterface({ input: child.stdout as NodeJS.ReadableStream })) return one;
  throw new Error("the server ended before it listened");
}

/** User and system time of a process, from `/proc` (fields 14 and 15; the name before them may contain spaces). */
function cpuSeconds({ pid }: ChildProcess): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}
