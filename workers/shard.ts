/** The thread entry of a shard, which `ShardThreads` gives to piscina. */
import type { ShardTask } from "../src/board/shard/messages.ts";

/**
 * The thread entry that piscina calls once for each shard. piscina loads this file by `require`. Loaders such as tsx
 * give `require` a copy of all that a file imports statically, and a copy beside the one that the actor module imports
 * would double the shard's code in memory.
 */
export default async (task: ShardTask): Promise<unknown> => {
  const { runShard } = await import("../src/board/shard/run-shard.ts");
  return runShard(task);
};
