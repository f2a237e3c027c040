/** The thread of an attack, so that its load is on no other loop: runs one by name, and tells its tally. */
import { parentPort, workerData } from "node:worker_threads";
import { attacks } from "./attacks/all.ts";
import type { Order } from "./attacks/attack.ts";

const { fault, order } = workerData as { readonly fault: string; readonly order: Order };
const attack = attacks.find((one) => one.fault === fault);
if (attack === undefined) throw new RangeError(`no attack is called ${fault}`);
parentPort?.postMessage(await attack.run(order));
