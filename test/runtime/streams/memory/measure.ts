/**
 * Measures the memory engine alone, in one thread: publishes, reads of subscribers that resume, joins and leaves. Run
 * by hand.
 *
 *     node --expose-gc test/runtime/streams/memory/measure.ts [--streams 10000] [--size 100] [--bytes 100]
 *
 * Prints the CPU of each call, the calls in a second of time on the wall, and the memory of each publication that is
 * kept: the heap, and what lies outside of it.
 */
import { parseArgs } from "node:util";
import { createMemoryEngine } from "../../../../src/runtime/streams/memory/memory-engine.ts";
import { noop } from "../../../../src/wire/protocol/empty.ts";
import { encodeText } from "../../../../src/wire/protocol/frame.ts";

const { values } = parseArgs({
  options: {
    streams: { type: "string", default: "10000" },
    size: { type: "string", default: "100" },
    bytes: { type: "string", default: "100" },
  },
});
const [streams, size, bytes] = [Number(values.streams), Number(values.size), Number(values.bytes)];

const limits = { size, ttlMs: 600_000, metaTtlMs: 3_600_000 };
const topics = Array.from({ length: streams }, (_, index) => `room:${index}`);
const text = "x".repeat(bytes);

const engine = createMemoryEngine({ maxBytes: 2 ** 31 }, "node-1");
let reported = 0;
await engine.start({
  published: () => {
    reported++;
  },
  relayed: noop,
  presenceChanged: noop,
  interrupted: noop,
  doubted: noop,
  healthChanged: noop,
  controlReceived: noop,
  nodeChanged: noop,
});

/** Runs `calls` calls, and prints what one costs. Best of five: the machine may have other work. */
function measure(what: string, calls: number, run: (index: number) => void): void {
  const rounds = Array.from({ length: 5 }, () => {
    const [start, cpu] = [performance.now(), process.cpuUsage()];
    for (let index = 0; index < calls; index++) run(index);
    const { user, system } = process.cpuUsage(cpu);
    return { ns: ((user + system) * 1_000) / calls, perSecond: (calls * 1_000) / (performance.now() - start) };
  });
  const ns = Math.min(...rounds.map((round) => round.ns));
  const perSecond = Math.max(...rounds.map((round) => round.perSecond));
  console.log(`${what}: ${ns.toFixed(0)} ns of CPU each, ${Math.round(perSecond).toLocaleString("en")} a second`);
}

function usedBytes(): number {
  for (let round = 0; round < 3; round++) globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const topicOf = (index: number): string => topics[index % streams] as string;
const publish = (index: number): void => {
  engine.publish(topicOf(index), { frame: encodeText(text) }, limits);
};

const before = usedBytes();
for (let index = 0; index < streams * size; index++) publish(index);
if (globalThis.gc !== undefined) {
  const kept = Number(engine.gauges()["publications"]);
  console.log(`memory of a publication of ${bytes} bytes: ${((usedBytes() - before) / kept).toFixed(0)} bytes`);
}

measure("publish to a stream that nobody wants", 1_000_000, publish);
for (const topic of topics) engine.want(topic);
measure("publish to a wanted stream", 1_000_000, publish);
if (reported !== 5_000_000) throw new Error(`${reported} of 5,000,000 publications were reported`);
measure("publish with an idempotency key", 100_000, (index) => {
  const idempotencyKey = `${reported}-${index}`;
  engine.publish(topicOf(index), { frame: encodeText(text), idempotencyKey }, limits);
});

const newest = await engine.history(topicOf(0), { limit: 0 }, limits);
const behind = Math.min(50, size);
measure(`read of the newest ${behind} publications`, 100_000, (index) => {
  engine.history(topicOf(index), { since: newest.top.offset - behind, limit: behind }, limits);
});

const rule = { leaveGraceMs: 0, changes: true };
measure("join and leave", 200_000, (index) => {
  const topic = topicOf(index);
  engine.join(topic, { address: `a${index}`, node: "node-1", user: `u${index % 5_000}`, info: undefined }, rule);
  engine.leave(topic, `a${index}`, rule);
});
await engine.stop();
