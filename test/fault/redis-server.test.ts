/** What subscribers and publishers see while a real Redis server dies, stands still or is full. */
import { expect, it, vi } from "vitest";
import { startRedisNode } from "../support/redis-nodes.ts";
import { RedisServer } from "../support/redis-server.ts";
import { expectHonest } from "../support/stream-model.ts";

it.each([
  { how: "without its data", keepsData: false },
  { how: "with all of its data", keepsData: true },
])("begins another epoch after kill -9 and a restart $how, and tells each subscriber", async ({ keepsData }) => {
  const server = await RedisServer.start({ keepsData });
  const [here, there] = [await startRedisNode({ url: server.url }), await startRedisNode({ url: server.url })];
  const publisher = here.publisher("t");
  await there.owner.subscribe("t");
  await publisher.publish(100);
  await vi.waitFor(() => expect(there.owner.texts("t")).toHaveLength(100));
  const before = there.owner.position("t");

  await server.kill();
  for (const { owner } of [here, there]) expect((await owner.becomes("down")).reason).toContain(String(server.port));
  await publisher.publish(3);
  expect(publisher.rejections.map(({ code }) => code)).toEqual(Array(3).fill("ERR_ENGINE_UNAVAILABLE"));
  await expect(there.engine.history("t", { limit: 1 }, { size: 1, ttlMs: 1, metaTtlMs: 1 })).rejects.toMatchObject({
    code: "ERR_ENGINE_UNAVAILABLE",
  });

  await server.start();
  for (const { owner } of [here, there]) await owner.becomes("up");
  await vi.waitFor(() => expect(there.owner.losses).toBe(1));
  expect(there.owner.position("t").epoch).not.toBe(before.epoch);
  await publisher.publish(100);
  await vi.waitFor(() => expect(there.owner.texts("t")).toHaveLength(200));
  expectHonest(there.owner.seen("t"), publisher.stored);
  expect(there.owner.losses).toBe(1);
  // Who comes with a position of the time before gets no part of the new epoch as if it were the rest of the old one.
  expect((await here.engine.history("t", { limit: 0 }, { size: 1, ttlMs: 1, metaTtlMs: 1_000 })).top.offset).toBe(100);
});

it("tells that Redis stands still, rejects what gets no answer, and recovers everything afterwards", async () => {
  const server = await RedisServer.start();
  const [here, there] = [await startRedisNode({ url: server.url }), await startRedisNode({ url: server.url })];
  const publisher = here.publisher("t");
  await there.owner.subscribe("t");
  await publisher.publish(50);
  await vi.waitFor(() => expect(there.owner.texts("t")).toHaveLength(50));

  server.freeze();
  await publisher.publish(20);
  expect(publisher.rejections.map(({ code }) => code)).toEqual(Array(20).fill("ERR_ENGINE_UNAVAILABLE"));
  expect(publisher.rejections[0]?.message).toContain("didn't answer within 1500 ms");
  for (const { owner } of [here, there]) await owner.becomes("down");

  server.thaw();
  for (const { owner } of [here, there]) await owner.becomes("up");
  await publisher.publish(50);
  await vi.waitFor(() => expect(there.owner.texts("t").at(-1)).toBe("t 120"));
  expectHonest(there.owner.seen("t"), publisher.stored);
  // The server has lost nothing: nobody is told otherwise. What was rejected may have been stored.
  expect(there.owner.losses).toBe(0);
  expect(there.owner.texts("t").length).toBeGreaterThanOrEqual(100);
});

it("says that Redis is full, stores nothing of what it rejects, and goes on in the epoch when there is room", async () => {
  const server = await RedisServer.start();
  const node = await startRedisNode({ url: server.url });
  const publisher = node.publisher("t");
  await node.owner.subscribe("t");
  await node.owner.subscribe("other");
  await publisher.publish(50);

  await server.command("CONFIG", "SET", "maxmemory", "1");
  await publisher.publish(50);
  expect(publisher.rejections.map(({ code }) => code)).toEqual(Array(50).fill("ERR_ENGINE_FULL"));
  const { top } = await node.engine.history("t", { limit: 0 }, { size: 1, ttlMs: 1, metaTtlMs: 60_000 });
  expect(top.offset).toBe(50);
  expect(node.owner.healths).toEqual([{ status: "up", reason: expect.stringContaining("out of memory") }]);

  await server.command("CONFIG", "SET", "maxmemory", "0");
  await publisher.publish(50);
  await vi.waitFor(() => expect(node.owner.texts("t")).toHaveLength(100));
  expectHonest(node.owner.seen("t"), publisher.stored);
  expect(node.owner.position("t")).toEqual({ epoch: top.epoch, offset: 100 });
  expect(node.owner.healths.slice(1)).toEqual([{ status: "up" }]);
  expect(node.owner.losses).toBe(0);
});

it("keeps members while Redis is full, lets others subscribe, and stores those when there is room", async () => {
  const server = await RedisServer.start();
  const options = { url: server.url, presenceTtlMs: 2_000 };
  const [here, there] = [await startRedisNode(options), await startRedisNode(options)];
  const rule = { leaveGraceMs: 0, changes: true };
  const member = (address: string, info?: string) => ({ address, node: "n", user: address, info });
  const members = async () => (await there.engine.members("t", 10)).map(({ address, info }) => [address, info]);
  await there.owner.subscribe("t");
  await here.engine.join("t", member("a", "1"), rule);
  await here.publisher("t").publish(3);

  await server.command("CONFIG", "SET", "maxmemory", "1");
  const full = { code: "ERR_ENGINE_FULL" };
  await expect(here.engine.join("t", member("a", "2"), rule)).rejects.toMatchObject(full);
  await here.engine.join("t", member("b"), rule);
  await here.engine.join("t", member("gone"), rule);
  await here.engine.leave("t", "gone", rule);
  expect(here.engine.gauges()).toMatchObject({ members: 2, members_unstored: 1 });
  await here.owner.subscribe("t");
  expect(here.owner.position("t").offset).toBe(3);
  // Longer than the time after which a member is gone that its node doesn't renew.
  const until = performance.now() + 3_000;
  while (performance.now() < until) expect(await members()).toEqual([["a", "1"]]);

  await server.command("CONFIG", "SET", "maxmemory", "0");
  await vi.waitFor(async () => expect(await members()).toContainEqual(["b", undefined]));
  expect(await members()).toHaveLength(2);
  // The other node can see the member in Redis before this node has heard the answer.
  await vi.waitFor(() => expect(here.engine.gauges()).toMatchObject({ members: 2, members_unstored: 0 }));
  await vi.waitFor(() =>
    expect(there.owner.changes.map(({ kind, member }) => [kind, member.address])).toEqual([
      ["joined", "a"],
      ["joined", "b"],
    ]),
  );
  await here.engine.join("t", member("a", "3"), rule);
  expect(await members()).toContainEqual(["a", "3"]);
});

it("sends its publishes again, in order, when Redis has lost the scripts", async () => {
  const server = await RedisServer.start();
  const node = await startRedisNode({ url: server.url });
  const publisher = node.publisher("t");
  await node.owner.subscribe("t");
  await publisher.publish(10);
  await server.command("SCRIPT", "FLUSH");
  // More of them come while the first are on their way back.
  const published: Promise<void>[] = [];
  for (let wave = 0; wave < 200; wave++) {
    published.push(publisher.publish(5));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(published);
  expect(publisher.rejections).toEqual([]);
  await vi.waitFor(() => expect(node.owner.texts("t")).toHaveLength(1_010));
  expectHonest(node.owner.seen("t"), publisher.stored);
});

it("begins another epoch when Redis was flushed, or has evicted what it knew of the stream", async () => {
  const server = await RedisServer.start();
  const node = await startRedisNode({ url: server.url });
  const publisher = node.publisher("t");
  await node.owner.subscribe("t");
  await publisher.publish(10);
  await server.command("FLUSHALL");
  await publisher.publish(10);
  await vi.waitFor(() => expect(node.owner.losses).toBe(1));
  await server.command("DEL", "switchboard:{topic:t}:meta");
  await publisher.publish(10);
  await vi.waitFor(() => expect(node.owner.losses).toBe(2));
  await publisher.publish(10);
  await vi.waitFor(() => expect(node.owner.texts("t").at(-1)).toBe("t 40"));
  expectHonest(node.owner.seen("t"), publisher.stored);
  const epochs = new Set([...publisher.stored.keys()].map((place) => place.split(" ")[0]));
  expect(epochs.size).toBe(3);
});
