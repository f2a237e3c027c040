/**
 * The thread that attacks, so that the load of an attack is on no other event loop. Runs its attack at each order and
 * posts the tally.
 */
import { parentPort, workerData } from "node:worker_threads";
import { attacks } from "./attacks/all.ts";
import type { Order } from "./attacks/attack.ts";

const { fault } = workerData as { readonly fault: string };
const attack = attacks.find((one) => one.fault === fault);
if (attack === undefined) throw new RangeError(`no attack is called ${fault}`);
parentPort?.on("message", async (order: Order) => parentPort?.postMessage(await attack.run(order)));
