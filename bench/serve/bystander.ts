/**
 * A client in a process of its own that publishes to itself, one message at a time, and tells how long each took.
 * `reconnect.ts` starts it, and says `begin` and `end`.
 *
 *     bystander.ts PORT
 */
import { constants, setPriority } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { JSON_COMMANDS, subscribed } from "./client.ts";

const PAUSE_MS = 2;
const CHANNEL = "bystander";

try {
  // The load shares this core: without a head start, the load's turns would count as the server's.
  setPriority(constants.priority.PRIORITY_HIGHEST);
} catch {
  console.error(
    "the bystander has no raised priority, because that needs root: its figures include waits for the load",
  );
}
const { client } = await subscribed(Number(process.argv[2]), JSON_COMMANDS, CHANNEL);
let latencies: number[] | undefined;
process.on("message", (what: "begin" | "end") => {
  process.send?.(latencies ?? []);
  latencies = what === "begin" ? [] : undefined;
});
process.on("disconnect", () => process.exit(0));
let pushed: (() => void) | undefined;
client.received = (bytes, payload, end) => {
  if (bytes.toString("latin1", payload, end).includes('"push"')) pushed?.();
};
process.send?.("ready");
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
