import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { Actor, type Message } from "../../../src/index.ts";

/** Milliseconds of a measurement of an idle thread. */
const IDLE_MS = 1_000;
const ROUNDS = 30;

/** A server of Node in this thread. */
const server = createServer((_, response) => response.end("fetched")).listen(0, "127.0.0.1");
server.unref();

const io: Readonly<Record<string, () => Promise<unknown>>> = {
  timer: () => delay(1),
  file: () => stat(import.meta.filename),
  fetch: async () => {
    const { port } = server.address() as AddressInfo;
    return (await fetch(`http://127.0.0.1:${port}`)).text();
  },
};

/**
 * - "idle": waits a second, and answers with the utilisation of the event loop in that time.
 * - "latency": answers with the median milliseconds of a timer, a look at a file and a request, all in this thread.
 *
 * Echoes everything else.
 */
export default class Timing extends Actor {
  override async received(message: Message): Promise<void> {
    if (message.text === "idle") {
      const before = performance.eventLoopUtilization();
      await delay(IDLE_MS);
      this.send(JSON.stringify(performance.eventLoopUtilization(before).utilization));
    } else if (message.text === "latency") {
      const found: Record<string, number> = {};
      for (const [name, run] of Object.entries(io)) found[name] = await medianMs(run);
      this.send(JSON.stringify(found));
    } else this.send(message);
  }
}

async function medianMs(run: () => Promise<unknown>): Promise<number> {
  const took: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const startedAt = performance.now();
    await run();
    took.push(performance.now() - startedAt);
  }
  return took.toSorted((a, b) => a - b)[ROUNDS / 2] as number;
}
