/**
 * A node of a cluster that publishes to streams all the time, for `streams.test.ts`: `stream-node.ts <options as
 * JSON>`. It changes its threads again and again, and stops to publish at SIGUSR2, or when another process has taken
 * over.
 */
import { writeSync } from "node:fs";
import { type StartOptions, Switchboard } from "../../../../src/index.ts";

export interface StreamNodeOptions {
  readonly start: StartOptions;
  /** Number of topics: `stream:0` and so on. */
  readonly topics: number;
  /** Time between two changes of the threads, in ms. Default: the threads stay. */
  readonly changeEachMs?: number | undefined;
}

/** Publishes without an answer, at most. */
const MAX_WAITING = 300;

const { start, topics, changeEachMs }: StreamNodeOptions = JSON.parse(process.argv[2] ?? "{}");

function tell(event: string, detail: object): void {
  writeSync(1, `${JSON.stringify({ event, ...detail })}\n`);
}

const board = await Switchboard.start(start);
board.on("takenOver", ({ connections }) => tell("takenOver", { connections }));
board.on("handedOver", stop);
process.on("SIGUSR2", stop);
const address = await board.listen({ port: 0, host: "127.0.0.1" });

/** Name of this publisher in what it publishes. */
const publisher = String(process.pid);
/** Number of publishes to each topic. */
const counts = Array<number>(topics).fill(0);
let next = 0;
let waiting = 0;
const answered = (): void => {
  waiting--;
};
// What a busy machine doesn't get around to isn't made up for.
const timer = setInterval(() => {
  if (waiting < MAX_WAITING) publish(next++ % topics);
}, 1);
tell("listening", { ...address });

/** Of each four publications of a topic, one is stored, and one is stored with a key. */
function publish(topic: number): void {
  const count = counts[topic] ?? 0;
  counts[topic] = count + 1;
  const ways = [{}, { store: false }, { idempotencyKey: `${publisher} ${topic} ${count}` }, { store: false }];
  const { stored } = board.publish(`stream:${topic}`, `${publisher} ${count}`, ways[count % ways.length]);
  waiting++;
  stored?.then(answered, answered);
}

function stop(): void {
  clearInterval(timer);
  tell("counted", { publisher, counts });
}

let changes = 0;
if (changeEachMs !== undefined) {
  const change = (): void => {
    changes++;
    const changed = changes % 2 === 0 ? board.reload() : board.evacuate(changes % 4 === 1 ? 0 : 1);
    // One that comes during a takeover, or during another, is refused.
    changed.catch(() => {});
  };
  setInterval(change, changeEachMs).unref();
}
