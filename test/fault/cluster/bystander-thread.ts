/** A bystander in a thread of its own: the work of the other clients doesn't delay its echoes. */
import { parentPort, workerData } from "node:worker_threads";
import { Bystander } from "./clients.ts";

export interface BystanderTimes {
  /** Times of the echoes since the last request, in ms. */
  readonly times: number[];
  readonly closes: number[];
}

const bystander = new Bystander({ ports: [workerData as number] }, 0);
bystander.connect();
parentPort?.on("message", () => {
  const { times, closes } = bystander;
  parentPort?.postMessage({ times: times.splice(0), closes } satisfies BystanderTimes);
});
