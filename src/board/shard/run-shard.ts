/** Runs a shard in a worker thread. `workers/shard.ts` calls `runShard`. */
import { type ErrorReport, reportError } from "../../errors.ts";
import { Pulse } from "../../runtime/stats/pulse.ts";
import type { ShardTask } from "./messages.ts";
import { Shard } from "./shard.ts";

/**
 * Runs one shard in this thread until it is told to stop. Returns a report of the error if it couldn't start: an error
 * that is thrown across threads would lose its name and code.
 */
export async function runShard(task: ShardTask): Promise<ErrorReport | undefined> {
  // The pulse starts first: loading an actor module may already block the thread.
  const pulse = task.pulse && new Pulse(task.pulse).start();
  const shard = new Shard(task);
  try {
    // A top-level await of an actor module may never end; the shard still stops.
    await Promise.race([shard.start(), shard.stopped]);
    await shard.stopped;
  } catch (error) {
    shard.stop();
    return reportError(error);
  } finally {
    clearInterval(pulse);
  }
  return undefined;
}
