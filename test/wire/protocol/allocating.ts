/**
 * A thread with the young generation of a shard, which allocates large pieces and drops them. Posts how many minor and
 * major collections V8 made.
 */
import { constants, PerformanceObserver } from "node:perf_hooks";
import { setTimeout as delay, setImmediate as turn } from "node:timers/promises";
import { parentPort } from "node:worker_threads";
import { allocateOwn } from "../../../src/wire/protocol/allocator.ts";

const PIECE_BYTES = 64 * 1024;
const counts = { minor: 0, major: 0 };
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    const { kind } = (entry as unknown as { readonly detail: { readonly kind: number } }).detail;
    if (kind === constants.NODE_PERFORMANCE_GC_MINOR) counts.minor++;
    if (kind === constants.NODE_PERFORMANCE_GC_MAJOR) counts.major++;
  }
}).observe({ entryTypes: ["gc"] });

for (let batch = 0; batch < 100; batch++) {
  for (let i = 0; i < 100; i++) allocateOwn(PIECE_BYTES);
  await turn();
}
await delay(50);
parentPort?.postMessage(counts);
