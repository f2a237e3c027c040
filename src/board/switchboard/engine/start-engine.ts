/** Starts the engine thread of a board. `ShardPool` calls `startEngine`. */
import { unlessAbandoned } from "../abandoned.ts";
import type { Settings } from "../options/start-options.ts";
import type { ShardThreads } from "../pool/shard-threads.ts";
import { EngineThread, type EngineThreadOwner } from "./engine-thread.ts";

/** Starts the engine, if the board has one. Rejects with its error, or with `ERR_ABORTED`. */
export async function startEngine(
  threads: ShardThreads | undefined,
  { engine, startTimeoutMs, shardTimeoutMs, signal }: Settings,
  node: string,
  owner: EngineThreadOwner,
): Promise<EngineThread | undefined> {
  if (engine === undefined || threads === undefined) return undefined;
  const { spec, rules } = engine;
  const settings = { engine: spec, node, rules, startTimeoutMs, blockedTimeoutMs: shardTimeoutMs };
  return unlessAbandoned(signal, EngineThread.start(threads, settings, owner));
}
