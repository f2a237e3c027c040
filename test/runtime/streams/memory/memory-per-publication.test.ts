import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, it, onTestFinished } from "vitest";
import { createMemoryEngine } from "../../../../src/runtime/streams/memory/memory-engine.ts";
import { LIMITS, RecordingOwner, say, span } from "../contract/cluster.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Memory in use, in bytes: the heap, and what lies outside of it (`external` has the array buffers in it). */
function used(): number {
  for (const _ of span(1, 3)) collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

it.each([
  { what: "filled once", publishes: 100 },
  { what: "in use for long", publishes: 250 },
])(
  "keeps a publication of 100 bytes in at most 250, in 10,000 streams of 100 that are $what",
  async ({ publishes }) => {
    const engine = createMemoryEngine(undefined, "node-1");
    await engine.start(new RecordingOwner());
    onTestFinished(() => engine.stop());
    const topics = span(1, 10_000).map((number) => `room:${number}`);
    const publish = say("x".repeat(100));
    const before = used();
    for (const _ of span(1, publishes)) for (const topic of topics) engine.publish(topic, publish, LIMITS);
    const { publications, bytes } = engine.gauges();
    expect(publications).toBe(1_000_000);
    const each = (used() - before) / 1_000_000;
    expect(each).toBeLessThan(250);
    // The measurement sees what the engine counts, at least.
    expect(each).toBeGreaterThan(Number(bytes) / 1_000_000);
  },
);
