/** Failover with lost writes: offsets go back, and no subscriber may take the new publications for the old ones. */
import { expect, it, vi } from "vitest";
import { freePort } from "../support/free-port.ts";
import { startRedisNode } from "../support/redis-nodes.ts";
import { caughtUp, RedisServer, startSentinel } from "../support/redis-server.ts";
import { expectHonest, LIMITS } from "../support/stream-model.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";

/** A master, and a replica that gets the writes over a link that can be held up. */
async function startPair(): Promise<{ master: RedisServer; replica: RedisServer; replication: TcpProxy }> {
  const master = await RedisServer.start();
  const replication = await TcpProxy.start(master.port);
  const replica = await RedisServer.start();
  await replica.follows(replication);
  return { master, replica, replication };
}

it("begins another epoch on a replica that was promoted without the newest publications", async () => {
  const { master, replica, replication } = await startPair();
  const address = await TcpProxy.start(master.port);
  const [here, there] = [await startRedisNode({ url: address.url }), await startRedisNode({ url: address.url })];
  const publisher = here.publisher("t");
  await there.owner.subscribe("t");
  await publisher.publish(100);
  await caughtUp(master, replica);
  replication.stick();
  // These are stored, and the replica never gets them.
  await publisher.publish(10);
  await vi.waitFor(() => expect(there.owner.texts("t")).toHaveLength(110));
  const { epoch } = there.owner.position("t");

  await master.kill();
  await replication.close();
  await replica.command("REPLICAOF", "NO", "ONE");
  address.retarget(replica.port);
  for (const { owner } of [here, there]) await owner.becomes("up");
  await publisher.publish(20);
  await vi.waitFor(() => expect(there.owner.texts("t").at(-1)).toBe("t 130"));
  expectHonest(there.owner.seen("t"), publisher.stored);
  expect(there.owner.losses).toBe(1);
  expect(there.owner.position("t").epoch).not.toBe(epoch);
  // A client that was away since it had offset 105 is not told that 106 to 110 are what is there now.
  const { top } = await here.engine.history("t", { since: 105, limit: 100 }, LIMITS);
  expect(top.epoch).not.toBe(epoch);
});

it("leaves a master that has become a replica, whether or not its connections were closed", async () => {
  const { master, replica, replication } = await startPair();
  const address = await TcpProxy.start(master.port);
  const node = await startRedisNode({ url: address.url });
  const publisher = node.publisher("t");
  await node.owner.subscribe("t");
  await publisher.publish(10);
  await caughtUp(master, replica);
  await replica.command("REPLICAOF", "NO", "ONE");
  await replication.close();
  await master.command("REPLICAOF", "127.0.0.1", String(replica.port));
  expect((await node.owner.becomes("down")).reason).toMatch(/replica|role/);
  address.retarget(replica.port);
  await node.owner.becomes("up");
  await publisher.publish(10);
  await vi.waitFor(() => expect(node.owner.texts("t").at(-1)).toBe("t 20"));
  expectHonest(node.owner.seen("t"), publisher.stored);
});

it("begins another epoch when offsets go back before its eyes", async () => {
  const server = await RedisServer.start();
  const [here, there] = [await startRedisNode({ url: server.url }), await startRedisNode({ url: server.url })];
  const publisher = here.publisher("t");
  await there.owner.subscribe("t");
  await publisher.publish(10);
  await server.command("COPY", "switchboard:{topic:t}:meta", "before");
  await publisher.publish(10);
  await vi.waitFor(() => expect(there.owner.texts("t")).toHaveLength(20));
  // As if the server had lost the last ten, and its identity were still the same.
  await server.command("COPY", "before", "switchboard:{topic:t}:meta", "REPLACE");
  await server.command("LTRIM", "switchboard:{topic:t}:list", "0", "-11");
  const lost = await here.engine.publish("t", { frame: { block: Buffer.from([0x81, 0]), start: 0, end: 2 } }, LIMITS);
  expect(lost.position.offset).toBe(11);
  await vi.waitFor(() => expect(there.owner.losses).toBe(1));
  await publisher.publish(10);
  await vi.waitFor(() => expect(there.owner.texts("t").at(-1)).toBe("t 30"));
  expectHonest(there.owner.seen("t"), publisher.stored);
  expect(there.owner.position("t").epoch).not.toBe(lost.position.epoch);
  expect(there.engine.gauges()).toMatchObject({ offsets_went_back_total: 1 });
});

it("follows Sentinel to the new master", async () => {
  const master = await RedisServer.start();
  const replica = await RedisServer.start();
  await replica.follows(master);
  const sentinel = await startSentinel(master);
  const nowhere = { host: "127.0.0.1", port: await freePort() };
  const options = { sentinel: { name: "board", nodes: [nowhere, sentinel.address] } };
  const [here, there] = [await startRedisNode(options), await startRedisNode(options)];
  const publisher = here.publisher("t");
  await there.owner.subscribe("t");
  await publisher.publish(100);
  await vi.waitFor(() => expect(there.owner.texts("t")).toHaveLength(100));

  await master.kill();
  for (const { owner } of [here, there]) await owner.becomes("down");
  for (const { owner } of [here, there]) await owner.becomes("up");
  await publisher.publish(100);
  await vi.waitFor(() => expect(there.owner.texts("t").at(-1)).toBe("t 200"));
  expectHonest(there.owner.seen("t"), publisher.stored);
  expect(there.owner.losses).toBe(1);
});
