/** Marks for takeovers, over a real server and a real cluster: two nodes part what a third one publishes. */
import { setImmediate as turn } from "node:timers/promises";
import { expect, it, onTestFinished, vi } from "vitest";
import { createRedisEngine, type RedisOptions, redis } from "../../../src/engines/redis/index.ts";
import type { Engine, EngineOwner } from "../../../src/runtime/streams/engine.ts";
import { noop } from "../../../src/wire/protocol/empty.ts";
import { encodeText } from "../../../src/wire/protocol/frame.ts";
import { RedisServer, startRedisCluster } from "../../support/redis-server.ts";

const WAIT = { timeout: 60_000, interval: 5 };

const TOPICS = Array.from({ length: 8 }, (_, number) => `t${number}`);

interface Node {
  readonly engine: Engine;
  /** Last bytes of the messages to each topic, which are numbers. */
  readonly heard: Map<string, number[]>;
  readonly mail: string[];
}

async function startNode(options: RedisOptions, id: string): Promise<Node> {
  const engine = await createRedisEngine(redis({ commandTimeoutMs: 30_000, ...options }).options, id);
  onTestFinished(() => engine.stop());
  const heard = new Map<string, number[]>(TOPICS.map((topic) => [topic, []]));
  const mail: string[] = [];
  const owner: EngineOwner = {
    published: noop,
    relayed: (topic, { block, end }) => void heard.get(topic)?.push(Number(block.toString("utf8", end - 6, end))),
    presenceChanged: noop,
    interrupted: noop,
    doubted: noop,
    healthChanged: noop,
    controlReceived: (_, message) => void mail.push(message),
    nodeChanged: noop,
  };
  await engine.start(owner);
  return { engine, heard, mail };
}

it.each(["one server", "a cluster of three"])(
  "part what others publish and send, once and in order, over %s",
  async (kind) => {
    const options: RedisOptions =
      kind === "one server"
        ? { url: (await RedisServer.start()).url }
        : { cluster: { nodes: (await startRedisCluster()).servers.map(({ address }) => address) } };
    const old = await startNode(options, "old");
    const next = await startNode(options, "next");
    const { engine: publisher } = await startNode(options, "publisher");
    for (const { engine } of [old, next]) await engine.cuts?.expect("mark");
    await next.engine.cuts?.answerFor(["old"]);
    for (const { engine } of [old, next]) for (const topic of TOPICS) await engine.want(topic);
    let count = 0;
    let isOver = false;
    const publishing = (async () => {
      for (; !isOver; count++) {
        for (const topic of TOPICS) publisher.relay(topic, encodeText(String(count).padStart(6, "0")));
        publisher.sendControl("old", `waits ${count}`, true);
        publisher.sendControl("old", `passes ${count}`);
        await turn();
        // No more is under way than a busy machine bears.
        if (count % 20 === 0) await vi.waitFor(() => expect(old.mail).toContain(`passes ${count}`), WAIT);
      }
    })();
    await vi.waitFor(() => expect(old.heard.get("t7")?.length).toBeGreaterThan(10), WAIT);
    for (const waiting of ["control", "topics"] as const) {
      await old.engine.cuts?.send("mark", waiting);
      for (const { engine } of [old, next]) await engine.cuts?.arrived(waiting);
    }
    const before = TOPICS.map((topic) => [...(old.heard.get(topic) ?? [])]);
    const mailBefore = old.mail.filter((one) => one.startsWith("waits"));
    for (const { heard } of [next]) for (const numbers of heard.values()) numbers.length = 0;
    const since = count + 10;
    await vi.waitFor(() => expect(old.mail).toContain(`passes ${since}`), WAIT);
    isOver = true;
    await publishing;
    // What waits is given to nobody, and replies pass.
    expect(TOPICS.map((topic) => old.heard.get(topic))).toEqual(before);
    expect(TOPICS.map((topic) => next.heard.get(topic))).toEqual(before.map(() => []));
    next.mail.length = 0;
    next.engine.cuts?.end();
    const numbers = Array.from({ length: count }, (_, number) => number);
    await vi.waitFor(() => {
      for (const [index, topic] of TOPICS.entries()) {
        expect([...(before[index] ?? []), ...(next.heard.get(topic) ?? [])]).toEqual(numbers);
      }
      const mail = [...mailBefore, ...next.mail.filter((one) => one.startsWith("waits"))];
      expect(mail).toEqual(numbers.map((number) => `waits ${number}`));
    });
    // The takeover failed: the old node has everything as well.
    old.engine.cuts?.end();
    await vi.waitFor(() => {
      for (const topic of TOPICS) expect(old.heard.get(topic)).toEqual(numbers);
      expect(old.mail.filter((one) => one.startsWith("waits"))).toEqual(numbers.map((number) => `waits ${number}`));
    });
  },
);
