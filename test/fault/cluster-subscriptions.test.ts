/** 10,000 subscriptions of one board that are made again at once, because Redis was restarted or its link was cut. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, it, onTestFinished, vi } from "vitest";
import { RedisServer } from "../support/redis-server.ts";
import type { BystanderTimes } from "./cluster/bystander-thread.ts";
import { judge } from "./cluster/checker.ts";
import { Reader, Writer } from "./cluster/clients.ts";
import { Cluster, seconds } from "./cluster/trial.ts";
import { writeRow } from "./rows.ts";

const TOPICS = Array.from({ length: 1_000 }, (_, number) => `t-${number}`);
const READERS = 100;
const TOPICS_EACH = 100;

it.for([
  { fault: "Redis is restarted without its data", restarts: true, told: 1 },
  { fault: "the link is cut", restarts: false, told: 0 },
])("10,000 subscriptions are made again at once when $fault", async ({ fault, restarts, told }) => {
  const server = await RedisServer.start();
  const cluster = new Cluster();
  onTestFinished(() => cluster.end());
  await cluster.add(1, server.port);
  const [board] = cluster.boards;
  if (board === undefined) throw new Error("there is no board");
  const readers = Array.from({ length: READERS }, (_, index) => {
    const first = (index * TOPICS_EACH) % TOPICS.length;
    return new Reader(`reader ${index}`, TOPICS.slice(first, first + TOPICS_EACH), cluster, 0, index % 2 === 0);
  });
  const writer = new Writer("p", TOPICS, cluster, 0);
  const bystander = new Worker(new URL("./cluster/bystander-thread.ts", import.meta.url), {
    workerData: board.port,
    execArgv: [],
  });
  onTestFinished(() => void bystander.terminate());
  const echoes = async (): Promise<BystanderTimes> => {
    bystander.postMessage("times");
    return (await once(bystander, "message"))[0] as BystanderTimes;
  };
  const clients = [...readers, writer];
  onTestFinished(() => {
    for (const client of clients) client.end();
  });
  for (const client of clients) client.connect();
  /** Publishes once to each topic, and resolves when all have all of them. */
  const flows = async (): Promise<void> => {
    await vi.waitFor(() => expect(readers.every(({ isLive }) => isLive) && writer.isOpen).toBe(true));
    writer.publish();
    await vi.waitFor(() => {
      const behind = readers.flatMap(({ topics }) =>
        [...topics.values()].filter(({ newest }) => newest.get(writer.source) !== writer.number),
      );
      expect(behind.length).toBe(0);
    });
    // What was published may arrive before the writer's answer.
    await vi.waitFor(() => expect(writer.isIdle).toBe(true));
  };
  await flows();

  const faultAtMs = performance.now();
  if (restarts) await server.kill();
  else cluster.links[0]?.cut();
  const { atMs: redAtMs } = await board.tells("engineDown", faultAtMs);
  await echoes();
  const mendedAtMs = performance.now();
  if (restarts) await server.start();
  else cluster.links[0]?.mend();
  await board.tells("engineUp", faultAtMs);
  const tolds = (): number =>
    readers.flatMap(({ topics }) => [...topics.values()]).filter((one) => one.told > 0).length;
  await vi.waitFor(() => expect(tolds()).toBe(told * READERS * TOPICS_EACH));
  await vi.waitFor(() => expect(readers.every(({ isLive }) => isLive)).toBe(true));
  const againMs = performance.now() - mendedAtMs;
  const { times, closes } = await echoes();
  times.sort((a, b) => a - b);
  await flows();
  expect((await board.health()).ok).toBe(true);
  // Gauges are a second old at most.
  await vi.waitFor(async () => {
    expect((await board.stats()).engine?.gauges).toMatchObject({ wanted_topics: TOPICS.length, links_up: 1 });
  });
  expect([closes, times.length > 0]).toEqual([[], true]);
  for (const topic of TOPICS) {
    const history = await board.history(topic);
    const subscribers = readers.flatMap(({ name, topics }) => {
      const read = topics.get(topic);
      return read === undefined ? [] : [{ name, lines: read.lines }];
    });
    expect(subscribers).toHaveLength(10);
    const stored = writer.stored.get(topic) ?? [];
    expect(judge({ subscribers, stored, history: history.publications, top: history.top })).toEqual([]);
  }
  const [p99 = 0, most = 0] = [times[Math.floor(times.length * 0.99)], times.at(-1)];
  writeRow({
    fault: `10,000 subscriptions at once: ${fault}`,
    publishers: `${[...writer.stored.values()].flat().length.toLocaleString("en")} stored`,
    subscribers: `10,000 subscriptions of 100 connections to 1,000 topics, ${told === 0 ? "nobody told" : "each told once"}; echo of a bystander: p99 ${p99.toFixed(1)} ms, at most ${most.toFixed(0)} ms`,
    health: `red after ${seconds(redAtMs - faultAtMs)}, then green`,
    recovered: seconds(againMs),
  });
});
