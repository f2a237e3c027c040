/**
 * Measures the engine over Redis against bare subscribers of `@redis/client`: a publishing process and two that
 * subscribe, on a `redis-server` that this program starts. Run by hand.
 *
 *     node bench/redis.ts [--rounds 5] [--seconds 3] [--topics 100] [--clients 100] [--window 10000]
 *         [--variants bare,plain,stream,stream-bare]
 *
 * README.md ("Engines") says what is counted.
 */

import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Peer } from "./redis/calls.ts";
import { RedisServer } from "./redis/server.ts";
import { median, mergeCounts, quantile, spreadOf } from "./statistics.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "3" },
    topics: { type: "string", default: "100" },
    clients: { type: "string", default: "100" },
    window: { type: "string", default: "10000" },
    variants: { type: "string", default: "bare,plain,stream,stream-bare" },
  },
});
const [rounds, seconds] = [Number(values.rounds), Number(values.seconds)];
const window = Number(values.window);
const WARM_UP_MS = 1_000;
const DRAIN_MS = 10_000;
const RETURNING = 1_000;
const MISSED = 50;
const PREFIX = "bench";

const topicsOf = (name: string): string[] => Array.from({ length: Number(values.topics) }, (_, i) => `${name}:${i}`);
const channelOf = (topic: string): string => `${PREFIX}:{topic:${topic}}`;

/** Who publishes to whom. */
interface Variant {
  readonly name: string;
  readonly topics: readonly string[];
  readonly publisher: Peer;
  /** Processes whose CPU counts as that of subscribers. */
  readonly subscribers: readonly Peer[];
  /** Processes that tell what was received. */
  readonly receivers: readonly Peer[];
}

interface Figures {
  readonly perSecond: number;
  /** CPU time by deliveries, in µs. */
  readonly publisher: number;
  readonly subscribers: number;
  readonly redis: number;
  /** CPU time of the board without interest in ms per second. */
  readonly bystander: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const server = await RedisServer.start();
const peers: Peer[] = [];
const start = (file: string): Peer => {
  const peer = new Peer(file, [server.url]);
  peers.push(peer);
  return peer;
};

try {
  await measure();
} finally {
  for (const peer of peers) peer.stop();
  await server.stop();
}

async function measure(): Promise<void> {
  const [barePublisher, boardPublisher, bystander, sink] = [
    start("bare.ts"),
    start("board.ts"),
    start("board.ts"),
    start("sink.ts"),
  ];
  const bare = [start("bare.ts"), start("bare.ts")];
  const boards = [start("board.ts"), start("board.ts")];
  const ports = await Promise.all(boards.map((board) => board.call<number>("port")));
  const [bareTopics, plain, stream, streamBare] = ["bare", "plain", "stream", "stream:bare"].map(topicsOf) as [
    string[],
    string[],
    string[],
    string[],
  ];
  for (const topics of [plain, stream]) {
    const clients = Math.min(topics.length, Number(values.clients));
    await sink.call("subscribe", { ports, topics, clients });
  }
  await sink.call("reportReceived");
  await Promise.all(bare.map((one) => one.call("subscribe", [...bareTopics, ...streamBare.map(channelOf)])));
  const ours = { publisher: boardPublisher, subscribers: boards, receivers: [sink] };
  const all: Variant[] = [
    { name: "bare", topics: bareTopics, publisher: barePublisher, subscribers: bare, receivers: bare },
    { name: "plain", topics: plain, ...ours },
    { name: "stream", topics: stream, ...ours },
    { name: "stream-bare", topics: streamBare, publisher: boardPublisher, subscribers: bare, receivers: bare },
  ];
  const variants = all.filter(({ name }) => values.variants.split(",").includes(name));

  await printReturn(boards[0] as Peer, ports[0] as number, "stream:return");
  const idleMs = await cpuOf(bystander, () => delay(seconds * 1_000));
  console.log(`board without interest, all idle: ${(idleMs / seconds).toFixed(1)} ms of CPU per second`);

  const figures = new Map<string, Figures[]>(variants.map(({ name }) => [name, []]));
  let tenth = 0;
  for (let round = 0; round < rounds; round++) {
    for (const variant of round % 2 === 0 ? variants : variants.toReversed()) {
      const fast = await saturate(variant, bystander);
      // The rate of the bare subscribers, from the first round on the same for all.
      tenth ||= fast.perSecond / variant.subscribers.length / 10;
      const slow = await pace(variant, tenth);
      const one = { ...fast, ...slow };
      figures.get(variant.name)?.push(one);
      console.log(round + 1, variant.name.padEnd(12), show(one));
    }
  }
  const wrong = await sink.call<number>("wrong");
  if (wrong > 0) throw new Error(`${wrong} messages were lost, doubled or out of order`);
  console.log(`\nmedians of ${rounds} rounds; latencies at ${Math.round(tenth)} publishes per second`);
  for (const [name, list] of figures) console.log(name.padEnd(14), show(medians(list)), ranges(list));
  const ratio = (name: string, to: string): void => {
    const pairs = figures.get(name)?.flatMap((one, i) => {
      const other = figures.get(to)?.[i];
      return other === undefined ? [] : [one.perSecond / other.perSecond];
    });
    const spread = spreadOf(pairs ?? []);
    if (spread !== undefined) {
      console.log(
        `${name} / ${to}: deliveries ${spread.median.toFixed(2)} (${spread.low.toFixed(2)} to ${spread.high.toFixed(2)})`,
      );
    }
  };
  ratio("plain", "bare");
  ratio("stream", "bare");
  ratio("stream", "stream-bare");
}

/** Publishes as fast as all receive. */
async function saturate(variant: Variant, bystander: Peer): Promise<Omit<Figures, "p50Ms" | "p99Ms">> {
  const { publisher, subscribers } = variant;
  const run = await begin(variant, undefined);
  await delay(WARM_UP_MS);
  const [before, startedAt] = [run.deliveries(), performance.now()];
  const cpu = async (): Promise<number[]> =>
    Promise.all([
      publisher.call<number>("cpu"),
      ...[...subscribers, bystander].map((one) => one.call<number>("cpu")),
      server.cpuMicros(),
    ]);
  const cpuBefore = await cpu();
  await delay(seconds * 1_000);
  const spent = (await cpu()).map((micros, i) => micros - (cpuBefore[i] ?? 0));
  const elapsed = (performance.now() - startedAt) / 1_000;
  const deliveries = run.deliveries() - before;
  await run.end();
  const [published = 0, redis = 0, bystanders = 0] = [spent[0], spent.at(-1), spent.at(-2)];
  return {
    perSecond: deliveries / elapsed,
    publisher: published / deliveries,
    subscribers: spent.slice(1, -2).reduce((sum, one) => sum + one, 0) / deliveries,
    redis: redis / deliveries,
    bystander: bystanders / 1_000 / elapsed,
  };
}

/** Publishes at a rate, and returns the latencies from the call of publish to the receipt. */
async function pace(variant: Variant, rate: number): Promise<Pick<Figures, "p50Ms" | "p99Ms">> {
  const run = await begin(variant, rate);
  await delay(WARM_UP_MS);
  for (const one of variant.receivers) await one.call("beginLatencies");
  await delay(seconds * 1_000);
  const counts = mergeCounts(
    await Promise.all(variant.receivers.map((one) => one.call<[number, number][]>("endLatencies"))),
  );
  await run.end();
  return { p50Ms: quantile(counts, 0.5) / 1_000, p99Ms: quantile(counts, 0.99) / 1_000 };
}

/** Begins to publish. The publisher is told what all subscribers have received. */
async function begin(
  { name, publisher, receivers, subscribers, topics }: Variant,
  rate: number | undefined,
): Promise<{ deliveries(): number; end(): Promise<void> }> {
  const told = await Promise.all(receivers.map((one) => one.call<readonly number[]>("receivedSoFar")));
  const base = told.flat();
  const counts = [...told];
  for (const [i, one] of receivers.entries()) {
    one.received = (numbers) => {
      counts[i] = numbers;
    };
  }
  const received = (): number[] => counts.flat().map((count, i) => count - (base[i] ?? 0));
  const passOn = setInterval(() => publisher.tellReceived(Math.min(...received())), 5);
  await publisher.call("start", { topics, window, rate });
  return {
    deliveries: () => received().reduce((sum, one) => sum + one, 0),
    async end() {
      const published = await publisher.call<number>("stop");
      clearInterval(passOn);
      const deadline = performance.now() + DRAIN_MS;
      while (Math.min(...received()) < published && performance.now() < deadline) await delay(20);
      if (received().length !== subscribers.length || received().some((count) => count !== published)) {
        throw new Error(`${name}: ${published} messages were published, and ${received().join(" and ")} received`);
      }
    },
  };
}

async function cpuOf(peer: Peer, run: () => Promise<unknown>): Promise<number> {
  const before = await peer.call<number>("cpu");
  await run();
  return ((await peer.call<number>("cpu")) - before) / 1_000;
}

/** Lets many clients of one topic come back at once, and prints what Redis has to do for them. */
async function printReturn(board: Peer, port: number, topic: string): Promise<void> {
  const client = start("sink.ts");
  const before = await board.call<string>("publishMany", { topic, count: MISSED });
  await client.call("open", { port, clients: RETURNING });
  const commands = await server.commands();
  const received = await client.call<number[]>("resume", `resume ${topic} ${before}`);
  const after = await server.commands();
  if (received.some((count) => count !== MISSED)) throw new Error("a client that came back didn't get what it missed");
  const ran = (name: string): number => (after.get(name) ?? 0) - (commands.get(name) ?? 0);
  const [scripts, reads] = [ran("evalsha"), ran("lrange")];
  console.log(`${RETURNING} clients came back, ${MISSED} behind: ${scripts} scripts, ${reads} reads of the list`);
  client.stop();
}

function show(figures: Figures): string {
  const { perSecond, publisher, subscribers, redis, bystander, p50Ms, p99Ms } = figures;
  const total = publisher + subscribers + redis;
  return [
    `${Math.round(perSecond)} deliveries/s`,
    `CPU ${total.toFixed(2)} µs each (publisher ${publisher.toFixed(2)}, subscribers ${subscribers.toFixed(2)}, Redis ${redis.toFixed(2)})`,
    `p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms`,
    `bystander ${bystander.toFixed(1)} ms/s`,
  ].join("; ");
}

function medians(list: readonly Figures[]): Figures {
  const of = (name: keyof Figures): number => median(list.map((one) => one[name]));
  return {
    perSecond: of("perSecond"),
    publisher: of("publisher"),
    subscribers: of("subscribers"),
    redis: of("redis"),
    bystander: of("bystander"),
    p50Ms: of("p50Ms"),
    p99Ms: of("p99Ms"),
  };
}

function ranges(list: readonly Figures[]): string {
  const of = (name: keyof Figures, digits: number): string => {
    const { low = Number.NaN, high = Number.NaN } = spreadOf(list.map((one) => one[name])) ?? {};
    return `${low.toFixed(digits)} to ${high.toFixed(digits)}`;
  };
  return `[deliveries/s ${of("perSecond", 0)}; p99 ${of("p99Ms", 2)} ms; bystander ${of("bystander", 1)} ms/s]`;
}
