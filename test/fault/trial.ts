/** Runs one attack and checks its bounds. Used by the fault report and the attack tests. */
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import type { Attack, Order, Tally, Verdict } from "./attacks/attack.ts";
import { Peer } from "./attacks/peer.ts";
import { Bystanders, quantile } from "./bystanders.ts";
import type { TargetCounts, TargetProcess } from "./target-process.ts";

const MIB = 1024 * 1024;
const BYSTANDERS = 40;
/** Time for the remains of an attack to go, in ms. The server gives up a slow close after seconds. */
const MAY_TAKE_TO_SETTLE_MS = 20_000;

/** Bounds of the others' p99 echo time under attack. The largest applies. */
export interface EchoBound {
  /** Multiple of the p99 before the attack. */
  readonly times: number;
  /**
   * Multiple of the p99 of a second server that nobody attacks. That server shows how the load of the attack and of
   * other programs delays any program.
   */
  readonly timesUnattacked: number;
  /** Smallest bound, in ms. */
  readonly floorMs: number;
}

export interface TrialOptions {
  readonly count: number;
  /** Time for measuring the echo before the attack, in ms. */
  readonly quietMs: number;
  /**
   * Shortest time of the attack, in ms. The attack is repeated until then, because a second has too few echoes for a
   * p99. Default: the attack runs once.
   */
  readonly atLeastMs?: number;
  readonly echo: EchoBound;
  /** The second server, which nobody attacks. */
  readonly unattacked: TargetProcess;
}

/** Results of an attack, and the bounds that it broke. */
export interface TrialResult {
  readonly fault: string;
  readonly tried: string;
  /** Verdicts of the attackers. */
  readonly verdicts: Tally;
  /** Number of other connections that survived. */
  readonly survived: number;
  readonly lost: number;
  /** Largest growth of the server over its memory before, during the first run of the attack. */
  readonly peakMemoryBytes: number;
  readonly quietP99Ms: number;
  readonly duringP99Ms: number;
  /** p99 of the second server during the attack, in ms. */
  readonly unattackedP99Ms: number;
  readonly seconds: number;
  readonly broken: readonly string[];
}

/**
 * Runs one attack against a server while other connections use it, and checks the results against the attack's bounds.
 */
export async function tryAttack(target: TargetProcess, attack: Attack, options: TrialOptions): Promise<TrialResult> {
  const { count, quietMs, atLeastMs = 0, unattacked } = options;
  const before = await target.counts();
  const bystanders = await Bystanders.join(target.port, BYSTANDERS);
  const elsewhere = await Bystanders.join(unattacked.port, BYSTANDERS);
  const quiet = await bystanders.observe(delay(quietMs));
  const descriptors = target.descriptors;
  const memoryBytes = target.memory.bytes;
  target.memory.forgetPeak();

  const startedAt = performance.now();
  const verdicts: Record<Verdict, number> = {};
  let rounds = 0;
  let peakMemoryBytes = 0;
  const attacking = runAttack(attack, { ...target.ports, count }, (tally) => {
    for (const [verdict, times] of Object.entries(tally)) verdicts[verdict] = (verdicts[verdict] ?? 0) + times;
    // Later runs would add garbage that isn't collected yet.
    if (rounds++ === 0) peakMemoryBytes = target.memory.peakBytes - memoryBytes;
    return performance.now() - startedAt < atLeastMs;
  });
  const [during, beside] = await Promise.all([bystanders.observe(attacking), elsewhere.observe(attacking)]);
  const failures: string[] = [];
  await attacking.catch((error: Error) => failures.push(`the attack failed: ${error.message}`));
  const { survived } = bystanders;
  const observed = {
    verdicts,
    survived,
    lost: bystanders.lost(),
    peakMemoryBytes,
    quietP99Ms: quantile(quiet.echoMs, 0.99),
    duringP99Ms: quantile(during.echoMs, 0.99),
    unattackedP99Ms: quantile(beside.echoMs, 0.99),
    seconds: (performance.now() - startedAt) / 1_000,
  };
  const broken = [
    ...failures,
    ...judgeVerdicts(attack, verdicts),
    ...judgeLosses(attack, bystanders),
    ...judgeMemory(attack, observed.peakMemoryBytes),
    ...judgeEcho(attack, options.echo, observed),
    ...(await settle(target, survived + before.connections, descriptors)),
    ...(await checkService(target.port)),
    ...judgeEvents(attack, count * rounds, before, await target.counts()),
  ];
  elsewhere.leave();
  bystanders.leave();
  broken.push(...(await settle(target, before.connections, descriptors - survived)));
  const tried = attack.tried(count.toLocaleString("en")) + (rounds > 1 ? `, ${rounds} times over` : "");
  return { fault: attack.fault, tried, ...observed, broken };
}

function judgeVerdicts({ verdicts }: Attack, tally: Tally): string[] {
  return Object.entries(tally)
    .filter(([verdict]) => !verdicts.includes(verdict))
    .map(([verdict, times]) => `${times} attackers got ${verdict}, not ${verdicts.join(" or ")}`);
}

function judgeLosses({ kills }: Attack, bystanders: Bystanders): string[] {
  const tooMany = bystanders.lost() - (kills ? bystanders.lost(1) : 0);
  return tooMany === 0 ? [] : [`${tooMany} other connections were lost`];
}

function judgeMemory({ memoryMiB }: Attack, peakMemoryBytes: number): string[] {
  if (peakMemoryBytes <= memoryMiB * MIB) return [];
  return [`memory grew by ${Math.ceil(peakMemoryBytes / MIB)} MiB, the bound is ${memoryMiB}`];
}

type Echo = Pick<TrialResult, "quietP99Ms" | "duringP99Ms" | "unattackedP99Ms">;

function judgeEcho(
  { atOnce = 1 }: Attack,
  bound: EchoBound,
  { quietP99Ms, duringP99Ms, unattackedP99Ms }: Echo,
): string[] {
  const usualMs = Math.max(bound.times * quietP99Ms, bound.timesUnattacked * unattackedP99Ms, bound.floorMs);
  if (duringP99Ms <= usualMs * atOnce) return [];
  return [`echo p99 was ${duringP99Ms.toFixed(1)} ms, the bound is ${(usualMs * atOnce).toFixed(1)}`];
}

/**
 * Checks that no event came too often. Only the shards that an attack kills may die. A handshake that dies with its
 * shard isn't its peer's fault.
 */
function judgeEvents({ kills }: Attack, count: number, before: TargetCounts, after: TargetCounts): string[] {
  return Object.entries(after.events).flatMap(([event, times]) => {
    if (kills && event === "handshakeFailed") return [];
    const more = times - (before.events[event] ?? 0);
    const expected = kills && event.startsWith("shard") ? count : 0;
    return more === expected ? [] : [`${event} came ${more} times, not ${expected}`];
  });
}

/** Runs the attack once, and repeats it while `again` returns true. */
async function runAttack({ fault }: Attack, order: Order, again: (tally: Tally) => boolean): Promise<void> {
  const worker = new Worker(new URL("./attacker.ts", import.meta.url), { workerData: { fault } });
  let more = true;
  while (more) {
    worker.postMessage(order);
    const [tally] = (await once(worker, "message")) as [Tally];
    more = again(tally);
  }
  await worker.terminate();
}

/**
 * Waits until the server has the expected connections and at most the expected descriptors. Returns what stays wrong.
 */
async function settle(target: TargetProcess, connections: number, descriptors: number): Promise<string[]> {
  const tooLate = performance.now() + MAY_TAKE_TO_SETTLE_MS;
  for (;;) {
    const counts = await target.counts();
    if (counts.connections === connections && target.descriptors <= descriptors && counts.ready) return [];
    if (performance.now() > tooLate) {
      return [
        `${counts.connections} connections stayed, not ${connections}; ${target.descriptors} descriptors, not ${descriptors}` +
          (counts.ready ? "" : "; not all shards are ready"),
      ];
    }
    await delay(50);
  }
}

/** Checks that new connections work, on both shards. */
async function checkService(port: number): Promise<string[]> {
  const peers = await Promise.all([Peer.open(port), Peer.open(port)]);
  const answers = await Promise.all(peers.map((peer) => peer.survival()));
  for (const peer of peers) peer.leave("done");
  return answers.every((answer) => answer === "survived") ? [] : ["a new connection got no echo"];
}
