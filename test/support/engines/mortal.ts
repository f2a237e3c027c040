/**
 * The memory engine, but a publish to the topic "death" ends its thread, and one to "standstill" blocks it for ever.
 * For tests of an engine thread that dies.
 */
import type { Engine } from "../../../src/runtime/streams/engine.ts";
import { createMemoryEngine } from "../../../src/runtime/streams/memory/memory-engine.ts";

export default function createMortalEngine(options: unknown, node: string): Engine {
  const engine = createMemoryEngine(options, node);
  const publish = engine.publish.bind(engine);
  engine.publish = (topic, ...rest) => {
    if (topic === "death") process.exit(1);
    while (topic === "standstill");
    return publish(topic, ...rest);
  };
  return engine;
}
