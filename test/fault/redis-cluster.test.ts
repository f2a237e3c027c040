/** Faults of a real Redis Cluster: a master dies and its replica takes over, and slots move. */
import { expect, it, vi } from "vitest";
import { slotOf } from "../../src/engines/redis/keys.ts";
import { startRedisNode } from "../support/redis-nodes.ts";
import { moveSlot, startRedisCluster } from "../support/redis-server.ts";
import { expectHonest } from "../support/stream-model.ts";

const TOPICS = Array.from({ length: 30 }, (_, number) => `topic-${number}`);

it("loses only the topics of a master that dies, until its replica has taken over", async () => {
  const { servers } = await startRedisCluster(1);
  const options = { cluster: { nodes: servers.map(({ address }) => address) } };
  const [here, there] = [await startRedisNode(options), await startRedisNode(options)];
  const publishers = TOPICS.map((topic) => here.publisher(topic));
  for (const topic of TOPICS) await there.owner.subscribe(topic);
  const publish = (count: number): Promise<unknown> => Promise.all(publishers.map((one) => one.publish(count)));
  await publish(10);
  await vi.waitFor(() => {
    for (const topic of TOPICS) expect(there.owner.texts(topic)).toHaveLength(10);
  });

  await servers[0]?.kill();
  for (const { owner } of [here, there]) await owner.becomes("down");
  await publish(1);
  const rejected = publishers.filter(({ rejections }) => rejections.length > 0).length;
  expect(rejected).toBeGreaterThan(0);
  expect(rejected).toBeLessThan(TOPICS.length);
  for (const { owner } of [here, there]) await owner.becomes("up");
  await publish(10);
  for (const [index, topic] of TOPICS.entries()) {
    await vi.waitFor(() => expect(there.owner.texts(topic).at(-1)).toBe(`${topic} 21`));
    expectHonest(there.owner.seen(topic), publishers[index]?.stored ?? new Map());
  }
  expect(there.owner.losses).toBe(rejected);
});

it("follows a slot to another master with what it subscribed, and tells the subscriber", async () => {
  const { servers } = await startRedisCluster();
  const options = { cluster: { nodes: servers.map(({ address }) => address) } };
  const [here, there] = [await startRedisNode(options), await startRedisNode(options)];
  const publisher = here.publisher("t");
  await there.owner.subscribe("t");
  await publisher.publish(10);
  await vi.waitFor(() => expect(there.owner.texts("t")).toHaveLength(10));

  await moveSlot(servers, slotOf("{topic:t}"));
  // The first publishes may meet the old master: they are rejected, until the map has been read again.
  await vi.waitFor(async () => {
    const before = publisher.rejections.length;
    await publisher.publish(1);
    if (publisher.rejections.length > before) throw new Error(publisher.rejections.at(-1)?.message);
  });
  // Another server has the stream now: the old positions don't hold.
  await vi.waitFor(() => expect(there.owner.losses).toBe(1));
  await publisher.publish(10);
  await vi.waitFor(() => expect(there.owner.texts("t").at(-1)).toBe(publisher.last));
  expectHonest(there.owner.seen("t"), publisher.stored);
  expect(there.owner.losses).toBe(1);
  expect(publisher.rejections.every(({ code }) => code === "ERR_ENGINE_UNAVAILABLE")).toBe(true);
});
