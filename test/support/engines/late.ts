/** The memory engine, but it answers a publish 200 ms later, as an engine behind a slow network does. */
import { setTimeout as delay } from "node:timers/promises";
import type { Engine } from "../../../src/runtime/streams/engine.ts";
import { createMemoryEngine } from "../../../src/runtime/streams/memory/memory-engine.ts";

export default function createLateEngine(options: unknown, node: string): Engine {
  const engine = createMemoryEngine(options, node);
  const publish = engine.publish.bind(engine);
  engine.publish = async (...publication) => {
    const published = await publish(...publication);
    await delay(200);
    return published;
  };
  return engine;
}
