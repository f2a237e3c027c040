/**
 * Three nodes over a real Redis that publish all the time, with stored, keyed and unstored publications, while
 * subscribers come, leave and come back with their positions, threads are replaced, and one node is taken over again
 * and again. Runs for as many seconds as `SECONDS` says: `npm run takeovers:streams`.
 */
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished, vi } from "vitest";
import { redis } from "../../../../src/engines/redis/index.ts";
import { whyNoPassing } from "../../../../src/wire/native/pass-descriptors.ts";
import { actorUrl } from "../../../support/actor-url.ts";
import { RedisServer } from "../../../support/redis-server.ts";
import { RunningProgram } from "../../support/process.ts";
import { takeoverPath } from "../server-process.ts";
import { Follower } from "./follower.ts";
import type { StreamNodeOptions } from "./stream-node.ts";

const SECONDS = Number(process.env["SECONDS"] ?? 0);
const TOPICS = 20;
const FOLLOWERS = 12;
const TOPICS_EACH = 4;
/** Time between two changes of the threads of a node, in ms. */
const CHANGE_EACH_MS = 2_000;
/** Longest time for which a follower stays, and for which it is away, in ms. */
const [MAX_STAY_MS, MAX_AWAY_MS] = [3_000, 300];

interface Told {
  readonly listening: { readonly port: number };
  readonly takenOver: { readonly connections: number };
  readonly counted: { readonly publisher: string; readonly counts: readonly number[] };
}

class StreamNode {
  readonly program: RunningProgram;

  constructor(options: StreamNodeOptions) {
    const program = fileURLToPath(new URL("stream-node.ts", import.meta.url));
    this.program = new RunningProgram(process.execPath, [program, JSON.stringify(options)]);
    onTestFinished(() => this.program.destroy());
  }

  async tells<Event extends keyof Told>(event: Event): Promise<Told[Event]> {
    const [, told = ""] = await this.program.prints(new RegExp(`^(\\{"event":"${event}".*)\\n`, "m"));
    return JSON.parse(told);
  }
}

const random = (below: number): number => Math.floor(Math.random() * below);

function someTopics(): string[] {
  const topics = new Set<string>();
  while (topics.size < TOPICS_EACH) topics.add(`stream:${random(TOPICS)}`);
  return [...topics];
}

it.skipIf(SECONDS === 0 || whyNoPassing() !== undefined)(
  "every subscriber gets everything of every publisher once and in order",
  async () => {
    const { url } = await RedisServer.start();
    const engine = redis({ url, commandTimeoutMs: 60_000, nodeTtlMs: 120_000 });
    const rules = { "stream:*": { history: { size: 100_000 } } };
    const common = { actor: String(actorUrl("following")), engine, topics: rules, shards: 2, warmUp: false };
    // No peer is to be slow, however busy the machine is.
    const start = { ...common, maxBufferedBytes: 64 * 1024 * 1024 };
    const takeover = takeoverPath();
    const run = (more: object, changeEachMs?: number): StreamNode =>
      new StreamNode({ start: { ...start, ...more }, topics: TOPICS, changeEachMs });
    let old = run({ takeover }, CHANGE_EACH_MS);
    const others = [run({}, CHANGE_EACH_MS), run({})];
    const nodes = [old, ...others];
    const ports = await Promise.all([old, ...others].map(async (node) => (await node.tells("listening")).port));
    const portOf = (): number => ports[random(2)] as number;

    let isOver = false;
    const followers = Array.from({ length: FOLLOWERS }, () => new Follower());
    onTestFinished(() => {
      for (const follower of followers) follower.leave();
    });
    const live = async (follower: Follower, index: number): Promise<void> => {
      let topics = someTopics();
      await follower.come(portOf(), topics);
      while (!isOver) {
        await delay(random(MAX_STAY_MS));
        // A third of them stays, and moves with its node.
        if (index % 3 === 0 && follower.isHere) continue;
        follower.leave();
        await delay(random(MAX_AWAY_MS));
        if (random(3) === 0) topics = someTopics();
        await follower.come(portOf(), topics);
      }
      if (!follower.isHere) await follower.come(portOf(), topics);
    };
    const lives = Promise.all(followers.map(live));

    const endMs = performance.now() + SECONDS * 1_000;
    let takeovers = 0;
    while (performance.now() < endMs) {
      await delay(random(2_000));
      const next = run({ takeover }, CHANGE_EACH_MS);
      nodes.push(next);
      await next.tells("takenOver");
      old = next;
      takeovers++;
    }
    isOver = true;
    await lives;
    for (const { program } of [old, ...others]) program.kill("SIGUSR2");
    const counted = await Promise.all(nodes.map((node) => node.tells("counted")));
    const missing = (): string[] =>
      followers.flatMap(({ topics }, index) =>
        [...topics].flatMap(([topic, { last, heard }]) =>
          counted
            .filter(({ publisher }) => heard.has(publisher))
            .map(({ publisher, counts }) => [publisher, last.get(publisher), (counts[Number(topic.slice(7))] ?? 0) - 1])
            .filter(([, got, due]) => got !== due)
            .map((each) => `${index} ${topic} ${each.join(" ")}`),
        ),
      );
    await vi.waitFor(() => expect(missing()).toEqual([]), { timeout: 30_000 });
    for (const { faults } of followers) expect(faults).toEqual([]);
    const sum = (value: (follower: Follower) => number): number => followers.reduce((all, one) => all + value(one), 0);
    const published = counted.reduce((all, { counts }) => counts.reduce((some, count) => some + count, all), 0);
    const [received, away] = [sum((follower) => follower.received), sum((follower) => follower.sentAway)];
    console.log(`${takeovers} takeovers, ${published} published, ${received} received, ${away} sent away`);
    expect(received).toBeGreaterThan(0);
  },
  (SECONDS + 120) * 1_000,
);
