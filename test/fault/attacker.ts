/** The thread of an attack, so that its load is on no other loop: runs it by name, as often as it is told to, and tells each tally. */
import { parentPort, workerData } from "node:worker_threads";
import { attacks } from "./attacks/all.ts";
import type { Order } from "./attacks/attack.ts";

const { fault } = workerData as { readonly fault: string };
const attack = attacks.find((one) => one.fault === fault);
if (attack === undefined) throw new RangeError(`no attack is called ${fault}`);
parentPort?.on("message", async (order: Order) => parentPort?.postMessage(await attack.run(order)));
