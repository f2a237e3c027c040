/** What happens when the link to a real Redis server is cut, stuck or deaf. */
import { expect, it, vi } from "vitest";
import { RecordingOwner, say } from "../runtime/streams/contract/cluster.ts";
import { createRedisNode, startRedisNode } from "../support/redis-nodes.ts";
import { RedisServer } from "../support/redis-server.ts";
import { expectHonest, LIMITS } from "../support/stream-model.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";

it("notices a link that takes everything and never answers, and recovers when there is one again", async () => {
  const server = await RedisServer.start();
  const proxy = await TcpProxy.start(server.port);
  const [near, far] = [await startRedisNode({ url: server.url }), await startRedisNode({ url: proxy.url })];
  const publisher = near.publisher("t");
  await far.owner.subscribe("t");
  await publisher.publish(10);
  await vi.waitFor(() => expect(far.owner.texts("t")).toHaveLength(10));

  proxy.stick();
  const stuck = far.publisher("stuck");
  await stuck.publish(5);
  expect(stuck.rejections.map(({ code }) => code)).toEqual(Array(5).fill("ERR_ENGINE_UNAVAILABLE"));
  await far.owner.becomes("down");
  // Those of another node go on.
  await publisher.publish(10);
  expect(publisher.rejections).toEqual([]);
  const late = await createRedisNode({ url: proxy.url, connectTimeoutMs: 300 });
  await expect(late.engine.start(late.owner)).rejects.toMatchObject({
    code: "ERR_ENGINE_UNREACHABLE",
    message: expect.stringMatching(`within 300 ms: 127.0.0.1:${proxy.port} (hasn't|didn't) answer`),
  });
  expect(far.owner.texts("t")).toHaveLength(10);

  proxy.mend();
  await far.owner.becomes("up");
  await vi.waitFor(() => expect(far.owner.texts("t")).toHaveLength(20));
  expectHonest(far.owner.seen("t"), publisher.stored);
  expect(far.owner.losses).toBe(0);
});

it("notices that it is deaf while commands are answered, and recovers what it didn't hear", async () => {
  const server = await RedisServer.start();
  const proxy = await TcpProxy.start(server.port);
  const node = await startRedisNode({ url: proxy.url });
  const publisher = node.publisher("t");
  await node.owner.subscribe("t");
  await publisher.publish(10);
  await vi.waitFor(() => expect(node.owner.texts("t")).toHaveLength(10));

  proxy.deafen();
  await publisher.publish(10);
  expect(publisher.rejections).toEqual([]);
  const { reason } = await node.owner.becomes("deaf");
  expect(reason).toContain("didn't come back within 1500 ms");
  // The connection that takes its place works.
  await node.owner.becomes("up");
  await vi.waitFor(() => expect(node.owner.texts("t")).toHaveLength(20));
  await publisher.publish(10);
  await vi.waitFor(() => expect(node.owner.texts("t")).toHaveLength(30));
  expectHonest(node.owner.seen("t"), publisher.stored);
  expect(node.owner.losses).toBe(0);
  expect(node.engine.gauges()).toMatchObject({ deaf_total: 1, rejected_total: 0 });
});

// Within the first command, within the frame of one, and between any two.
it.each([1, 150, 5_000, 33_333, 60_007])(
  "knows after a cut %i bytes into a pipeline what isn't known",
  async (bytes) => {
    const server = await RedisServer.start();
    const proxy = await TcpProxy.start(server.port);
    const [near, far] = [await startRedisNode({ url: server.url }), await startRedisNode({ url: proxy.url })];
    const publisher = far.publisher("t");
    for (const { owner } of [near, far]) await owner.subscribe("t");
    await publisher.publish(10);

    proxy.cutAfter(bytes);
    await publisher.publish(5_000);
    expect(publisher.rejections.length).toBeGreaterThan(0);
    for (const { code, message } of publisher.rejections) {
      expect([code, message]).toEqual(["ERR_ENGINE_UNAVAILABLE", expect.stringContaining("it isn't known")]);
    }
    proxy.mend();
    await far.owner.becomes("up");
    await publisher.publish(100);
    for (const { owner } of [near, far]) {
      await vi.waitFor(() => expect(owner.texts("t").at(-1)).toBe("t 5110"));
      expectHonest(owner.seen("t"), publisher.stored);
      expect(owner.losses).toBe(0);
    }
    const { top } = await near.engine.history("t", { limit: 0 }, LIMITS);
    expect(top.offset).toBe(near.owner.texts("t").length);
    // What was stored is the beginning of the pipeline, and no more.
    const numbers = near.owner.texts("t").map((text) => Number(text.slice(2)));
    const stored = numbers.slice(0, -100);
    expect(stored).toEqual(stored.map((_, index) => index + 1));
  },
);

it("subscribes to 10,000 topics again after its connections were killed, and misses nothing", async () => {
  const server = await RedisServer.start();
  // The test is about many topics, not about answers that are late on a busy machine.
  const options = { url: server.url, commandTimeoutMs: 60_000, connectTimeoutMs: 60_000 };
  const [here, there] = [await startRedisNode(options), await startRedisNode(options)];
  const topics = Array.from({ length: 10_000 }, (_, number) => `topic-${number}`);
  const publishers = topics.map((topic) => here.publisher(topic));
  await Promise.all(topics.map((topic) => there.owner.subscribe(topic)));
  await Promise.all(publishers.map((publisher) => publisher.publish(1)));
  await server.command("CLIENT", "KILL", "TYPE", "pubsub");
  await Promise.all(publishers.map((publisher) => publisher.publish(2)));
  await there.owner.becomes("up");
  await Promise.all(publishers.map((publisher) => publisher.publish(1)));
  await vi.waitFor(() => {
    const missing = topics.filter((topic) => there.owner.texts(topic).length < 4);
    if (missing.length === 0) return;
    throw new Error(`${missing.length} topics lack publications: ${JSON.stringify(there.owner.healths)}`);
  });
  for (const [index, topic] of topics.entries()) {
    expectHonest(there.owner.seen(topic), publishers[index]?.stored ?? new Map());
  }
  expect(there.owner.losses).toBe(0);
  expect(there.engine.gauges()).toMatchObject({ wanted_topics: 10_000, links_up: 1 });
});

it("rejects a subscription that can't be confirmed, and isn't left with the topic", async () => {
  const server = await RedisServer.start();
  const node = await startRedisNode({ url: server.url });
  server.freeze();
  await node.owner.becomes("down");
  await expect(node.engine.want("t")).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
  server.thaw();
  await node.owner.becomes("up");
  expect(node.engine.gauges()).toMatchObject({ wanted_topics: 0 });
  await node.engine.want("t");
  await node.owner.subscribe("t");
  await node.publisher("t").publish(1);
  await vi.waitFor(() => expect(node.owner.texts("t")).toHaveLength(1));
});

it("waits at start until Redis can be reached, if it is told to", async () => {
  const server = await RedisServer.start();
  const proxy = await TcpProxy.start(server.port);
  proxy.cut();
  const node = await createRedisNode({ url: proxy.url, waitForStart: true, connectTimeoutMs: 100 });
  const started = node.engine.start(node.owner);
  await vi.waitFor(() => expect(proxy.refused).toBeGreaterThan(3));
  proxy.mend();
  await started;
  await node.owner.subscribe("t");
});

it("sends a leave when the link is back, also if a join of the member was rejected meanwhile", async () => {
  const server = await RedisServer.start();
  const proxy = await TcpProxy.start(server.port);
  // The member must not be gone because its time is over.
  const presenceTtlMs = 600_000;
  const near = await startRedisNode({ url: server.url, presenceTtlMs });
  const far = await startRedisNode({ url: proxy.url, presenceTtlMs });
  const rule = { leaveGraceMs: 0, changes: true };
  const member = { address: "a", node: "far", user: undefined, info: undefined };
  await far.engine.join("t", member, rule);
  expect(await near.engine.members("t", 10)).toHaveLength(1);
  proxy.stick();
  await far.owner.becomes("down");
  await far.engine.leave("t", "a", rule);
  await expect(far.engine.join("t", member, rule)).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
  proxy.mend();
  await far.owner.becomes("up");
  await vi.waitFor(async () => expect(await near.engine.members("t", 10)).toEqual([]));
});

it("says that reports are interrupted before it reports what came after a cut", async () => {
  const server = await RedisServer.start();
  const proxy = await TcpProxy.start(server.port);
  const near = await startRedisNode({ url: server.url });
  const { engine } = await createRedisNode({ url: proxy.url });
  const owner = new RecordingOwner();
  await engine.start(owner);
  await engine.want("t");
  let count = 0;
  const publishUntil = async (isEnough: () => boolean): Promise<void> => {
    do await near.engine.publish("t", { ...say(`${count++}`), store: false }, LIMITS);
    while (!isEnough());
  };
  await publishUntil(() => owner.order.length >= 10);
  for (const _ of Array(3)) {
    const { length } = owner.order;
    proxy.cut();
    await publishUntil(() => owner.order.slice(length).includes("interrupted t"));
    expect(await engine.reported?.("t")).toBe(false);
    proxy.mend();
    await publishUntil(() => typeof owner.order.at(-1) === "string" && owner.order.at(-1) !== "interrupted t");
  }
  const { order } = owner;
  expect(order.filter((each) => each === "interrupted t")).toHaveLength(3);
  // Each number follows the one before, or the word of the interruption does.
  for (const [at, each] of order.entries()) {
    if (at === 0 || each === "interrupted t" || order[at - 1] === "interrupted t") continue;
    expect(Number(each)).toBe(Number(order[at - 1]) + 1);
  }
});
