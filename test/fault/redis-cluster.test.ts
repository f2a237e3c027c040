/** Faults of a real Redis Cluster: a master dies and its replica takes over, and slots move. */
import { expect, it, vi } from "vitest";
import { slotOf } from "../../src/engines/redis/keys.ts";
import { encodeText, payloadStart } from "../../src/wire/protocol/frame.ts";
import { startRedisNode } from "../support/redis-nodes.ts";
import { beginMove, moveSlot, startRedisCluster } from "../support/redis-server.ts";
import { expectHonest, LIMITS } from "../support/stream-model.ts";

/** No publish is rejected because a busy machine needs more than a second for a move. */
const PATIENT = { commandTimeoutMs: 30_000 };
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

  // The replica waits until the test has looked, and the other masters answer meanwhile.
  const survivors = servers.slice(1);
  const configure = (name: string, value: string): Promise<unknown> =>
    Promise.all(survivors.map((server) => server.command("CONFIG", "SET", name, value)));
  await configure("cluster-require-full-coverage", "no");
  await configure("cluster-replica-no-failover", "yes");
  await servers[0]?.kill();
  for (const { owner } of [here, there]) await owner.becomes("down");
  await publish(1);
  const rejected = publishers.filter(({ rejections }) => rejections.length > 0).length;
  expect(rejected).toBeGreaterThan(0);
  expect(rejected).toBeLessThan(TOPICS.length);
  await configure("cluster-replica-no-failover", "no");
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
  const options = { ...PATIENT, cluster: { nodes: servers.map(({ address }) => address) } };
  const [here, there] = [await startRedisNode(options), await startRedisNode(options)];
  const publisher = here.publisher("t");
  await there.owner.subscribe("t");
  await publisher.publish(10);
  await vi.waitFor(() => expect(there.owner.texts("t")).toHaveLength(10));

  await moveSlot(servers, slotOf("{topic:t}"));
  // These meet the old master first.
  await publisher.publish(10);
  // Another server has the stream now: the old positions don't hold.
  await vi.waitFor(() => expect(there.owner.losses).toBe(1));
  await publisher.publish(10);
  await vi.waitFor(() => expect(there.owner.texts("t").at(-1)).toBe(publisher.last));
  expectHonest(there.owner.seen("t"), publisher.stored);
  expect(there.owner.losses).toBe(1);
  expect(publisher.rejections).toEqual([]);
});

it("keeps the order of publishes while their slot moves, and rejects none", async () => {
  const { servers } = await startRedisCluster();
  const node = await startRedisNode({ ...PATIENT, cluster: { nodes: servers.map(({ address }) => address) } });
  const offsets: number[] = [];
  let epoch = "";
  let isMoving = true;
  const publish = async (number: number): Promise<void> => {
    // Each has a key of its own, so that Redis says TRYAGAIN while the rest of the stream has moved.
    const idempotencyKey = number % 3 === 0 ? `key-${number}` : undefined;
    const frame = encodeText(String(number));
    const { position } = await node.engine.publish("t", { frame, idempotencyKey }, LIMITS);
    if (position.epoch !== epoch) offsets.length = 0;
    epoch = position.epoch;
    offsets.push(position.offset);
  };
  await publish(0);
  let number = 1;
  const publishing = (async () => {
    while (isMoving) await Promise.all([publish(number++), publish(number++), publish(number++)]);
  })();
  const move = await beginMove(servers, slotOf("{topic:t}"));
  await move.migrate();
  await move.migrate();
  await move.finish();
  isMoving = false;
  await publishing;
  await publish(number);
  // In the epoch of the new master all that was stored is in the order of the calls.
  const { records } = await node.engine.history("t", { limit: 1_000 }, LIMITS);
  const texts = records.map(({ frame }) => Number(frame.block.toString("latin1", payloadStart(frame), frame.end)));
  expect(texts).toEqual(texts.toSorted((a, b) => a - b));
  expect(texts.at(-1)).toBe(number);
  expect(offsets.at(-1)).toBe(records.at(-1)?.offset);
});

it("asks the new master for a stream that has moved before its slot, and waits with a new stream", async () => {
  const { servers } = await startRedisCluster();
  const node = await startRedisNode({ ...PATIENT, cluster: { nodes: servers.map(({ address }) => address) } });
  const publisher = node.publisher("t");
  await publisher.publish(5);
  const move = await beginMove(servers, slotOf("{topic:t}"));
  await move.migrate();
  await publisher.publish(5);
  expect(publisher.rejections).toEqual([]);
  // Redis runs no script some of whose keys are on neither side: such a publish waits, and the next one behind it.
  const waiting = node.engine.publish("t", { frame: encodeText("key"), idempotencyKey: "key" }, LIMITS);
  const later = node.engine.publish("t", { frame: encodeText("later") }, LIMITS);
  await vi.waitFor(async () => {
    const stats = await Promise.all(servers.map((one) => one.command("INFO", "errorstats")));
    expect(stats.join()).toContain("errorstat_TRYAGAIN");
  });
  await move.finish();
  const [first, second] = [(await waiting).position, (await later).position];
  expect(second).toEqual({ epoch: first.epoch, offset: first.offset + 1 });
});

it("rejects a publish whose slot doesn't arrive in time, and says that it wasn't stored", async () => {
  const { servers } = await startRedisCluster();
  const node = await startRedisNode({ cluster: { nodes: servers.map(({ address }) => address) } });
  await beginMove(servers, slotOf("{topic:t}"));
  const publishing = node.engine.publish("t", { frame: encodeText("a") }, LIMITS);
  await expect(publishing).rejects.toMatchObject({
    code: "ERR_ENGINE_UNAVAILABLE",
    message: expect.stringMatching(/(?:ASK|TRYAGAIN).*the publication wasn't stored/),
  });
});
