/** A client in a thread of its own that publishes to itself, one message at a time. `reconnect.ts` starts it. */
import { setTimeout as delay } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { JSON_COMMANDS, subscribed } from "./client.ts";

const PAUSE_MS = 2;
const CHANNEL = "bystander";
const { client } = await subscribed(workerData.port, JSON_COMMANDS, CHANNEL);

let latencies: number[] | undefined;
parentPort?.on("message", (what: "begin" | "end") => {
  parentPort?.postMessage(latencies ?? []);
  latencies = what === "begin" ? [] : undefined;
});
let pushed: (() => void) | undefined;
client.received = (bytes, payload, end) => {
  if (bytes.toString("latin1", payload, end).includes('"push"')) pushed?.();
};
parentPort?.postMessage("ready");
while (true) {
  const startedAt = performance.now();
  const arrived = new Promise<void>((resolve) => {
    pushed = resolve;
  });
  client.send(JSON_COMMANDS.publish(3, CHANNEL, "{}"));
  await arrived;
  latencies?.push(performance.now() - startedAt);
  await delay(PAUSE_MS);
}
