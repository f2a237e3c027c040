/** The memory engine, but its stop never resolves. For tests of a board that closes. */
import type { Engine } from "../../../src/runtime/streams/engine.ts";
import { createMemoryEngine } from "../../../src/runtime/streams/memory/memory-engine.ts";

export default function createUnstoppableEngine(options: unknown, node: string): Engine {
  const engine = createMemoryEngine(options, node);
  engine.stop = () => new Promise(() => {});
  return engine;
}
