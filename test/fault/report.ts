/**
 * The fault report: runs every attack at full size, one after the other, each against a new server process. An attack
 * that takes less than five seconds is repeated. Then come the faults of connections that move (`moving/report.ts`) and
 * of boards over one Redis (`cluster/report.ts`).
 *
 *    npm run faults -- [--only WORD] [--short] [--json]
 *
 * `--only redis` and `--only moving` run these faults and nothing else. Prints a Markdown table with a row for each
 * attack: verdicts of the attackers; number of other connections that survived and that were lost; largest growth of
 * the server's memory; p99 echo time of the other connections before and during the attack, and during it on a second
 * server that nobody attacks. Exits with 1 if a bound was broken. Linux only: it reads /proc.
 */
import { parseArgs } from "node:util";
import { attacks } from "./attacks/all.ts";
import type { Attack } from "./attacks/attack.ts";
import { reportClusterFaults } from "./cluster/report.ts";
import { reportMovingFaults } from "./moving/report.ts";
import { TargetProcess } from "./target-process.ts";
import { type TrialResult, tryAttack } from "./trial.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    short: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
if (values.only === "redis") process.exit(await reportClusterFaults());
if (values.only === "moving") process.exit(await reportMovingFaults());
const chosen = attacks.filter(({ fault }) => fault.includes(values.only));
if (chosen.length === 0) throw new RangeError(`no fault has ${values.only} in its name`);

const ECHO = { times: 20, timesUnattacked: 5, floorMs: 50 };
const QUIET_MS = 2_000;
/** Shortest time of an attack: time for a thousand echoes. */
const ATTACK_MS = 5_000;

const unattacked = await TargetProcess.start();
const results: TrialResult[] = [];
for (const [index, attack] of chosen.entries()) {
  console.error(`${index + 1}/${chosen.length} ${attack.fault} …`);
  const result = await report(attack);
  results.push(result);
  const { seconds, broken } = result;
  console.error(`    ${columns(result).slice(1).join(" | ")} (${seconds.toFixed(1)} s)`);
  for (const line of broken) console.error(`    BROKEN: ${line}`);
}
await unattacked.close();
if (values.json) console.log(JSON.stringify(results, undefined, 2));
else printTable();
const codes = [results.some(({ broken }) => broken.length > 0) ? 1 : 0];
if (values.only === "" && !values.short && !values.json) {
  codes.push(await reportMovingFaults(), await reportClusterFaults());
}
process.exit(Math.max(...codes));

async function report(attack: Attack): Promise<TrialResult> {
  const target = await TargetProcess.start();
  const count = values.short ? attack.short : attack.full;
  const times = { quietMs: QUIET_MS, atLeastMs: ATTACK_MS };
  const result = await tryAttack(target, attack, { count, ...times, echo: ECHO, unattacked });
  const ending = await target.close();
  return { ...result, broken: [...result.broken, ...ending] };
}

function columns(result: TrialResult): string[] {
  const { fault, tried, verdicts, survived, lost, peakMemoryBytes, quietP99Ms, duringP99Ms, unattackedP99Ms } = result;
  const fared = Object.entries(verdicts).map(([verdict, times]) => `${verdict} × ${times.toLocaleString("en")}`);
  return [
    fault,
    `${tried}: ${fared.join(", ")}`,
    String(survived),
    String(lost),
    `+${Math.round(peakMemoryBytes / 1024 / 1024)} MiB`,
    `${quietP99Ms.toFixed(1)} → ${duringP99Ms.toFixed(1)} ms (${unattackedP99Ms.toFixed(1)})`,
  ];
}

function printTable(): void {
  const head = [
    "fault",
    "what was tried, how often: how it fared",
    "others survived",
    "lost",
    "peak memory",
    "echo p99, quiet → during (beside)",
  ];
  const rows = [head, head.map(() => "---"), ...results.map(columns)];
  for (const row of rows) console.log(`| ${row.join(" | ")} |`);
}
