import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import type { Attack, Tally } from "./attacks/attack.ts";
import { Peer } from "./attacks/peer.ts";
import { Bystanders, quantile } from "./bystanders.ts";
import type { TargetProcess } from "./target-process.ts";

const MIB = 1024 * 1024;
const BYSTANDERS = 40;
/** How long what an attack left behind may take to go: slow closes are given up after seconds. */
const MAY_TAKE_TO_SETTLE_MS = 20_000;

/** How long the others' echo may take under attack. */
export interface EchoBound {
  /** p99 as a multiple of the quiet one. */
  readonly times: number;
  /** Never less than this: what two busy cores may do to any program. */
  readonly floorMs: number;
}

export interface TrialOptions {
  readonly count: number;
  /** How long the quiet echo is timed. */
  readonly quietMs: number;
  readonly echo: EchoBound;
}

/** What an attack did, and which bounds it broke. */
export interface TrialResult {
  readonly fault: string;
  readonly tried: string;
  /** How the attackers fared. */
  readonly verdicts: Tally;
  /** Of the other connections. */
  readonly survived: number;
  readonly lost: number;
  /** The most that the server grew over its quiet memory. */
  readonly peakMemoryBytes: number;
  readonly quietP99Ms: number;
  readonly duringP99Ms: number;
  readonly seconds: number;
  readonly broken: readonly string[];
}

/** Runs one attack against a server while others use it, and holds what happened to the attack's bounds. */
export async function tryAttack(target: TargetProcess, attack: Attack, options: TrialOptions): Promise<TrialResult> {
  const { count, quietMs, echo } = options;
  const broken: string[] = [];
  const before = await target.counts();
  const bystanders = await Bystanders.join(target.port, BYSTANDERS);
  const quiet = await bystanders.observe(delay(quietMs));
  const descriptors = target.descriptors;
  const memoryBytes = target.memoryBytes;
  target.forgetPeak();

  const startedAt = performance.now();
  const attacking = runAttack(attack, { port: target.port, count });
  const during = await bystanders.observe(attacking);
  const verdicts = await attacking.catch((error: Error): Tally => {
    broken.push(`the attack failed: ${error.message}`);
    return {};
  });
  const seconds = (performance.now() - startedAt) / 1_000;
  const peakMemoryBytes = target.peakMemoryBytes - memoryBytes;

  for (const [verdict, times] of Object.entries(verdicts)) {
    if (!attack.verdicts.includes(verdict))
      broken.push(`${times} attackers got ${verdict}, not ${attack.verdicts.join(" or ")}`);
  }
  const { survived } = bystanders;
  const lost = bystanders.lost();
  const mayBeLost = attack.kills ? bystanders.lost(1) : 0;
  if (lost > mayBeLost) broken.push(`${lost - mayBeLost} other connections were lost`);
  if (peakMemoryBytes > attack.memoryMiB * MIB) {
    broken.push(`memory grew by ${Math.ceil(peakMemoryBytes / MIB)} MiB, the bound is ${attack.memoryMiB}`);
  }
  const quietP99Ms = quantile(quiet.echoMs, 0.99);
  const duringP99Ms = quantile(during.echoMs, 0.99);
  const boundMs = Math.max(echo.times * quietP99Ms, echo.floorMs) * (attack.atOnce ?? 1);
  if (!(duringP99Ms <= boundMs)) {
    broken.push(`echo p99 was ${duringP99Ms.toFixed(1)} ms, the bound is ${boundMs.toFixed(1)}`);
  }

  broken.push(...(await settle(target, survived + before.connections, descriptors)));
  broken.push(...(await checkService(target.port)));
  const { events } = await target.counts();
  for (const [event, times] of Object.entries(events)) {
    const more = times - (before.events[event] ?? 0);
    // A handshake that its shard takes along fails for no reason of its peer's.
    if (attack.kills && event === "handshakeFailed") continue;
    const expected = attack.kills && event.startsWith("shard") ? count : 0;
    if (more !== expected) broken.push(`${event} came ${more} times, not ${expected}`);
  }
  bystanders.leave();
  broken.push(...(await settle(target, before.connections, descriptors - survived)));
  const tried = attack.tried(count.toLocaleString("en"));
  return {
    fault: attack.fault,
    tried,
    verdicts,
    survived,
    lost,
    peakMemoryBytes,
    quietP99Ms,
    duringP99Ms,
    seconds,
    broken,
  };
}

async function runAttack({ fault }: Attack, order: { port: number; count: number }): Promise<Tally> {
  const worker = new Worker(new URL("./attacker.ts", import.meta.url), { workerData: { fault, order } });
  const [tally] = (await once(worker, "message")) as [Tally];
  await worker.terminate();
  return tally;
}

/** Waits until the server has as many connections and at most as many descriptors as it should; says what stays wrong. */
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

/** New connections work, on both shards. */
async function checkService(port: number): Promise<string[]> {
  const peers = await Promise.all([Peer.open(port), Peer.open(port)]);
  const answers = await Promise.all(peers.map((peer) => peer.survival()));
  for (const peer of peers) peer.leave("done");
  return answers.every((answer) => answer === "survived") ? [] : ["a new connection got no echo"];
}
