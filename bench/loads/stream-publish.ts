/**
 * The load of the scenario `stream-publish`: some actors on each shard publish bursts of 100-byte messages to streams.
 * An actor publishes its next burst when all of the last one are stored.
 *
 *     node bench/loads/stream-publish.ts URL [--streams 10000] [--burst 4000] [--connections 4] [--duration S]
 *         [--warmup S]
 */
import { parseArgs } from "node:util";
import { count } from "./counted.ts";
import { StreamPublisher } from "./stream-publisher.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    streams: { type: "string", default: "10000" },
    burst: { type: "string", default: "4000" },
    connections: { type: "string", default: "4" },
    duration: { type: "string", default: "5" },
    warmup: { type: "string", default: "1" },
  },
});
const [url = ""] = positionals;
const [streams, burst] = [Number(values.streams), Number(values.burst)];

const publishers: StreamPublisher[] = [];
for (let i = 0; i < Number(values.connections); i++) publishers.push(await StreamPublisher.open(url));
const perShard = [...Map.groupBy(publishers, ({ shard }) => shard).values()].map(({ length }) => length);
if (new Set(perShard).size > 1) throw new Error("the server doesn't spread its connections over shards");

let stored = 0;
let storedBefore = 0;
let latencies: number[] = [];
let publishing = true;
let next = 0;
const runs = publishers.map(publishBursts);

await count(
  { warmup: Number(values.warmup), duration: Number(values.duration) },
  {
    begin() {
      storedBefore = stored;
      latencies = [];
    },
    async end() {
      publishing = false;
      const [inTime, times] = [stored - storedBefore, latencies];
      await Promise.all(runs);
      return { received: inTime, lost: 0, wrong: 0, latencies: times, slipP99Ms: 0 };
    },
  },
);

async function publishBursts(publisher: StreamPublisher): Promise<void> {
  while (publishing) {
    const first = next;
    next = (next + burst) % streams;
    const startedAt = performance.now();
    await publisher.publish(burst, first, Math.min(burst, streams - first));
    stored += burst;
    latencies.push((performance.now() - startedAt) * 1000);
  }
}
