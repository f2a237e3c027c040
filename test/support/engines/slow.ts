/**
 * The memory engine, but it gives nothing of what it keeps to another process before a test lets it: by a message on
 * the channel `SLOW_ENGINE`, on which the engine says when it waits.
 */
import { BroadcastChannel } from "node:worker_threads";
import type { Engine } from "../../../src/runtime/streams/engine.ts";
import { createMemoryEngine } from "../../../src/runtime/streams/memory/memory-engine.ts";

export const SLOW_ENGINE = "the slow engine of a test";

export default function createSlowEngine(options: unknown, node: string): Engine {
  const engine = createMemoryEngine(options, node);
  const { transfer } = engine;
  if (transfer === undefined) return engine;
  const give = transfer.give.bind(transfer);
  let hasWaited = false;
  transfer.give = async () => {
    if (!hasWaited) await waitForTest();
    hasWaited = true;
    return give();
  };
  return engine;
}

async function waitForTest(): Promise<void> {
  const channel = new BroadcastChannel(SLOW_ENGINE);
  const allowed = new Promise((resolve) => {
    channel.onmessage = resolve;
  });
  channel.postMessage("waiting");
  await allowed;
  channel.close();
}
