/** A process with a board of one shard on the engine over Redis. */
import { redis } from "../../src/engines/redis/index.ts";
import { Switchboard } from "../../src/index.ts";
import { answerCalls } from "./calls.ts";
import { writeMessage } from "./messages.ts";
import { Publisher } from "./publisher.ts";

const board = await Switchboard.start({
  actor: new URL("./actor.ts", import.meta.url),
  shards: 1,
  topics: { "stream:*": { history: { size: 100 } } },
  engine: redis({ url: process.argv[2] ?? "", prefix: "bench" }),
});
const { port } = await board.listen({ port: 0, host: "127.0.0.1" });

answerCalls({
  ...new Publisher((topic, message) => board.publish(topic, message).stored).handlers,
  port: () => port,
  /** Publishes, and returns the position before: epoch and offset. */
  async publishMany({ topic, count }: { topic: string; count: number }) {
    const { top } = await board.history(topic, { limit: 0 });
    for (let number = 1; number <= count; number++) await board.publish(topic, writeMessage(0, number)).stored;
    return `${top.epoch} ${top.offset}`;
  },
});
