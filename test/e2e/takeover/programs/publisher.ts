/**
 * A node of a cluster that only publishes, for tests: `publisher.ts <options as JSON>`. Publishes from its start on, and prints
 * how much it has published at SIGUSR2.
 */
import { writeSync } from "node:fs";
import { type StartOptions, Switchboard } from "../../../../src/index.ts";

export interface PublisherOptions {
  readonly start: StartOptions;
  /** Topics that are published to, in turn. */
  readonly topics: readonly { readonly topic: string; readonly store?: false }[];
  /** Publishes to each topic in a millisecond. */
  readonly rate: number;
}

const { start, topics, rate }: PublisherOptions = JSON.parse(process.argv[2] ?? "{}");

const board = await Switchboard.start({ ...start, shards: 1, warmUp: false });
let count = 0;
let rejected = 0;
const startedAt = performance.now();

const timer = setInterval(() => {
  // At most as many as are due, and no more at once than a busy machine bears.
  const due = Math.min(count + 20 * rate, (performance.now() - startedAt) * rate);
  for (; count < due; count++) {
    for (const { topic, store } of topics) {
      const { stored } = board.publish(topic, `publication ${topic} ${count}`, store === false ? { store } : undefined);
      stored?.catch(() => rejected++);
    }
  }
}, 1);
writeSync(1, "publishing\n");

process.once("SIGUSR2", () => {
  clearInterval(timer);
  writeSync(1, `${JSON.stringify({ count, rejected })}\n`);
});
