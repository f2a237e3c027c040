/** The memory engine, but another process gets nothing of what it keeps: for tests of takeovers. */
import type { Engine } from "../../../src/runtime/streams/engine.ts";
import { createMemoryEngine } from "../../../src/runtime/streams/memory/memory-engine.ts";

export default function createForgetfulEngine(options: unknown, node: string): Engine {
  return Object.defineProperty(createMemoryEngine(options, node), "transfer", { value: undefined });
}
