/** The thread of an attack, so that its load is on no other loop: runs one by name, and tells what came of it. */
import { parentPort, workerData } from "node:worker_threads";
import { attacks } from "./attacks/all.ts";
import type { Order, Tally, Verdict } from "./attacks/attack.ts";

/** What the thread is to do. */
export interface Assignment {
  readonly fault: string;
  readonly order: Order;
  /** Time after which it isn't run once more. */
  readonly atLeastMs: number;
}

export interface Outcome {
  readonly tally: Tally;
  /** How often the attack was run. */
  readonly rounds: number;
}

const { fault, order, atLeastMs } = workerData as Assignment;
const attack = attacks.find((one) => one.fault === fault);
if (attack === undefined) throw new RangeError(`no attack is called ${fault}`);
const tally: Record<Verdict, number> = {};
let rounds = 0;
const enoughAt = performance.now() + atLeastMs;
do {
  for (const [verdict, times] of Object.entries(await attack.run(order)))
    tally[verdict] = (tally[verdict] ?? 0) + times;
  rounds++;
} while (performance.now() < enoughAt);
parentPort?.postMessage({ tally, rounds } satisfies Outcome);
