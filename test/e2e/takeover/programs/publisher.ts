/**
 * A node of a cluster that only publishes, for tests: `publisher.ts <options as JSON>`. Publishes from its start on,
 * and prints how much it has published at SIGUSR2.
 */
import { writeSync } from "node:fs";
import { type StartOptions, Switchboard } from "../../../../src/index.ts";

export interface PublisherOptions {
  readonly start: StartOptions;
  /** Topics that are published to, in turn. */
  readonly topics: readonly PublishedTopic[];
  /** Publishes to each topic in a millisecond, if the machine is quiet. */
  readonly rate: number;
}

export interface PublishedTopic {
  readonly topic: string;
  /** False: no publication is stored. A number: one of so many is. Default: all are, if the topic has history. */
  readonly store?: false | number;
}

const MAX_WAITING = 300;

const { start, topics, rate }: PublisherOptions = JSON.parse(process.argv[2] ?? "{}");

const board = await Switchboard.start({ ...start, shards: 1, warmUp: false });
let count = 0;
/** Publishes without an answer. */
let waiting = 0;
const answered = (): void => {
  waiting--;
};

const timer = setInterval(() => {
  // What a busy machine doesn't get around to isn't made up for.
  if (waiting > MAX_WAITING) return;
  for (const end = count + rate; count < end; count++) {
    for (const { topic, store } of topics) {
      const { stored = Promise.resolve() } = board.publish(
        topic,
        `publication ${topic} ${count}`,
        store === undefined ? undefined : { store: store !== false && count % store === 0 },
      );
      waiting++;
      stored.then(answered, answered);
    }
  }
}, 1);
writeSync(1, "publishing\n");

process.once("SIGUSR2", () => {
  clearInterval(timer);
  writeSync(1, `${JSON.stringify({ count })}\n`);
});
