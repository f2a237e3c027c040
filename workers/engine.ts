/** The thread entry of the engine, which the pool of threads gives to piscina. */
import type { EngineTask } from "../src/runtime/engine/messages.ts";

/**
 * The thread entry that piscina calls once for the engine. It imports the engine's code as `shard.ts` does, and for the
 * same reason.
 */
export default async (task: EngineTask): Promise<unknown> => {
  const { runEngine } = await import("../src/runtime/engine/engine-thread.ts");
  return runEngine(task);
};
