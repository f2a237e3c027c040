import { describe, expect, it, vi } from "vitest";
import { Subscriptions } from "../../../src/board/connection/subscriptions.ts";
import { SwitchboardError } from "../../../src/errors.ts";
import { Bus } from "../../../src/runtime/bus/bus.ts";
import { EngineClient } from "../../../src/runtime/engine/client/engine-client.ts";
import { Topics } from "../../../src/runtime/feeds/topics.ts";
import { FairScheduler } from "../../../src/runtime/scheduling/fair-scheduler.ts";
import { Counters } from "../../../src/runtime/stats/counters.ts";
import type { Engine } from "../../../src/runtime/streams/engine.ts";
import { createMemoryEngine } from "../../../src/runtime/streams/memory/memory-engine.ts";
import { TopicRules } from "../../../src/runtime/streams/topic-rules.ts";
import type { SendResult } from "../../../src/wire/protocol/send-result.ts";
import { RULES, span, startHost, text, until } from "../../runtime/engine/host.ts";
import { createFeeds, Peer, tick } from "../../runtime/feeds/peer.ts";

/** A connection of the test: what `Connection` is to `Subscriptions`. */
class Subscribing extends Peer {
  subscriptions: Subscriptions | undefined;
  readonly plain: string[] = [];

  readonly policies: unknown[] = [];
  readonly notResumed: string[] = [];

  subscriptionNotResumed(topic: string): void {
    this.notResumed.push(topic);
  }

  setTopicPolicy(topic: string, policy: unknown): void {
    this.policies.push([topic, policy]);
  }

  deliver(_: unknown, topic: string): SendResult {
    this.plain.push(topic);
    return "sent";
  }

  override streamLost(...lost: Parameters<Peer["streamLost"]>): void {
    this.subscriptions?.forget(lost[0]);
    super.streamLost(...lost);
  }
}

/** @param isShared true if topics without history go through the engine, too */
async function setUp({
  isConnected = true,
  isShared = false,
  engine,
}: {
  isConnected?: boolean;
  isShared?: boolean;
  engine?: Engine;
} = {}) {
  const host = await startHost({}, engine);
  const client = isConnected ? host.connect().client : new EngineClient();
  const other = host.connect().client;
  const rules = new TopicRules(RULES);
  const { feeds } = createFeeds(client, rules);
  const held = new Map<string, () => void>();
  const bus = new Bus({
    publishDropped: () => {},
    ...(isShared && {
      firstSubscribed: (topic: string) => {
        const { wanted, release } = feeds.hold(topic, rules.of(topic));
        held.set(topic, release);
        return wanted;
      },
      lastUnsubscribed: (topic: string) => held.get(topic)?.(),
    }),
  });
  const topics = new Topics(bus, { client, rules, isShared });
  const subscribing = () => {
    const peer = new Subscribing();
    const counters = new Counters();
    const parts = {
      topics,
      feeds,
      turns: new FairScheduler(),
      counters,
      options: { maxSubscriptions: 50, maxBufferedBytes: 1_000_000 },
    };
    peer.subscriptions = new Subscriptions(peer, parts);
    return { peer, subscriptions: peer.subscriptions, counters };
  };
  return { ...subscribing(), subscribing, host, client, other, feeds, bus };
}

const code = (wanted: string) => expect.objectContaining({ code: wanted });

describe.each(["s", "p", "w"])("a subscription to %s that the engine can't serve", (topic) => {
  it("is rejected, leaves no membership, and works later", async () => {
    const { subscriptions, feeds, host, client, other } = await setUp({ isConnected: false });
    await expect(subscriptions.add(topic)).rejects.toEqual(code("ERR_ENGINE_UNAVAILABLE"));
    expect([subscriptions.size, feeds.size]).toEqual([0, 0]);
    host.reconnect(client);
    await subscriptions.add(topic);
    expect([subscriptions.size, feeds.size]).toEqual([1, 1]);
    if (topic !== "s") expect(await other.memberStats(topic)).toMatchObject({ connections: 1 });
    client.close();
  });
});

it("a plain topic that other nodes publish to is asked for again after a rejection", async () => {
  const { subscriptions, subscribing, host, client, peer, bus } = await setUp({ isConnected: false, isShared: true });
  const second = subscribing();
  for (const each of [subscriptions.add("x"), second.subscriptions.add("x")]) {
    await expect(each).rejects.toEqual(code("ERR_ENGINE_UNAVAILABLE"));
  }
  expect([subscriptions.size, second.subscriptions.size]).toEqual([0, 0]);
  host.reconnect(client);
  await subscriptions.add("x");
  host.host.engineOwner.relayed("x", text("from afar"));
  bus.publish("x", text("from here"));
  expect(peer.plain).toEqual(["x"]);
  client.close();
});

it("wrong options throw, and change nothing", async () => {
  const { subscriptions, peer, other } = await setUp();
  await subscriptions.add("s");
  expect(() => subscriptions.add("s", { since: { epoch: "", offset: -1 } })).toThrowError(code("ERR_POSITION"));
  expect(() => subscriptions.add("x", { since: "latest" })).toThrowError(code("ERR_NO_HISTORY"));
  expect(() => subscriptions.add("s", { user: "ann" })).toThrowError(code("ERR_NO_PRESENCE"));
  expect(() => subscriptions.add("s".repeat(300))).toThrowError(code("ERR_TOPIC"));
  expect(subscriptions.size).toBe(1);
  await tick();
  await other.publish("s", text("a"));
  await until(() => peer.log.length === 1);
});

it("a second subscription changes nothing without a position, and takes the place of the first with one", async () => {
  const { subscriptions, peer, other } = await setUp();
  await subscriptions.add("s");
  await tick();
  for (const each of span(1, 3)) await other.publish("s", text(String(each)));
  await until(() => peer.log.length === 3);
  expect(await subscriptions.add("s")).toMatchObject({ recovered: false, position: { offset: 3 } });
  const again = await subscriptions.add("s", { since: { epoch: "", offset: 1 } });
  expect(again.publications.map(({ offset }) => offset)).toEqual([2, 3]);
  await tick();
  await other.publish("s", text("4"));
  await until(() => peer.log.length === 4);
  await tick();
  expect(peer.log).toEqual(["1", "2", "3", "4"]);
  expect(subscriptions.size).toBe(1);
});

it("a second subscription without a position updates the user or the info that it gives, and nothing else", async () => {
  const { subscriptions, subscribing, peer, other } = await setUp();
  const watcher = subscribing();
  await watcher.subscriptions.add("p", { presenceChanges: true });
  const told = () =>
    watcher.peer.events.flatMap((event) =>
      event.kind === "missed" || event.member.address !== peer.address
        ? []
        : [[event.kind, event.member.user, event.member.info, event.ofUser]],
    );
  await subscriptions.add("p", { user: "ada", info: 1 });
  await tick();
  await other.publish("p", text("a"));
  await until(() => peer.log.length === 1);
  await subscriptions.add("p");
  await subscriptions.add("p", { user: "ada" });
  expect(await subscriptions.add("p", { info: 2, presenceChanges: true })).toMatchObject({ position: { offset: 1 } });
  // The second of two at once keeps what the first has changed.
  await Promise.all([subscriptions.add("p", { user: "bob" }), subscriptions.add("p", { info: null })]);
  const changes = [
    ["joined", "ada", 1, true],
    ["joined", "ada", 2, false],
    ["left", "ada", 2, true],
    ["joined", "bob", 2, true],
    ["joined", "bob", null, false],
  ];
  await until(() => told().length >= changes.length);
  expect(told()).toEqual(changes);
  expect(peer.events).toEqual([]);
  await other.publish("p", text("b"));
  await until(() => peer.log.length === 2);
  expect(peer.log).toEqual(["a", "b"]);
  subscriptions.remove("p");
  await until(() => told().length > changes.length);
  expect(told().at(-1)).toEqual(["left", "bob", null, true]);
});

it("a subscription again as another user within the grace time is a leave and a join", async () => {
  const { subscriptions, subscribing, peer } = await setUp();
  const watcher = subscribing();
  await watcher.subscriptions.add("g", { presenceChanges: true });
  await subscriptions.add("g", { user: "ada" });
  subscriptions.remove("g");
  await subscriptions.add("g", { user: "bob" });
  const told = () =>
    watcher.peer.events.flatMap((event) =>
      event.kind === "missed" || event.member.address !== peer.address ? [] : [`${event.kind} ${event.member.user}`],
    );
  await until(() => told().length >= 3);
  expect(told()).toEqual(["joined ada", "left ada", "joined bob"]);
});

it("an update of presence that the engine refuses is rejected, and leaves the subscription as it was", async () => {
  const engine = createMemoryEngine({}, "node-1");
  const join = engine.join.bind(engine);
  let isFull = false;
  engine.join = (topic, member, rule) => {
    if (isFull) {
      isFull = false;
      throw new SwitchboardError("ERR_ENGINE_FULL", "no room for now");
    }
    return join(topic, member, rule);
  };
  const { subscriptions, peer, other } = await setUp({ engine });
  const users = async () => (await other.members("p", 10)).map(({ user }) => user);
  await subscriptions.add("p", { user: "ada" });
  await tick();
  isFull = true;
  await expect(subscriptions.add("p", { user: "bob" })).rejects.toEqual(code("ERR_ENGINE_FULL"));
  expect([await users(), subscriptions.size]).toEqual([["ada"], 1]);
  await other.publish("p", text("a"));
  await until(() => peer.log.length === 1);
  await subscriptions.add("p", { info: 1 });
  expect(await users()).toEqual(["ada"]);
  subscriptions.remove("p");
  await tick();
  expect(await users()).toEqual([]);
});

it("presence ends with each way in which a subscription ends", async () => {
  const { subscribing, other, feeds } = await setUp();
  const count = async () => (await other.memberStats("p")).connections;
  const [removed, all, lost] = [subscribing(), subscribing(), subscribing()];
  for (const { subscriptions } of [removed, all, lost]) await subscriptions.add("p");
  for (const index of span(1, 40)) await all.subscriptions.add(`s${index}`);
  expect(await count()).toBe(3);
  removed.subscriptions.remove("p");
  removed.subscriptions.remove("p");
  await until(() => feeds.size === 41);
  await tick();
  expect(await count()).toBe(2);
  lost.peer.room = 0;
  await Promise.all(span(1, 12).map((each) => other.publish("p", text(String(each)))));
  await until(() => lost.peer.isWaitedFor);
  lost.peer.drain();
  await until(() => lost.peer.lost.length === 1);
  expect(lost.subscriptions.size).toBe(0);
  await tick();
  expect(await count()).toBe(1);
  all.subscriptions.leaveAll();
  await until(() => feeds.size === 0);
  await tick();
  expect(await count()).toBe(0);
});

it("sets the policy of a topic for slow peers, and forgets it with the subscription", async () => {
  const { peer, subscriptions } = await setUp();
  await subscriptions.add("x", { slowConsumerPolicy: "conflate" });
  await subscriptions.add("y", {});
  for (const topic of ["x", "y"]) subscriptions.remove(topic);
  expect(peer.policies).toEqual([
    ["x", "conflate"],
    ["x", undefined],
  ]);
});

it("a hidden subscription with since takes the place of one that is seen: presence hears of a leave", async () => {
  const { subscriptions, other } = await setUp();
  await subscriptions.add("p", { user: "ann" });
  expect(await other.memberStats("p")).toMatchObject({ connections: 1 });
  await subscriptions.add("p", { since: { epoch: "", offset: 0 }, hidden: true });
  await vi.waitFor(async () => expect(await other.memberStats("p")).toMatchObject({ connections: 0 }));
  subscriptions.remove("p");
});

it("counts what a topic without history drops while deliveries wait", async () => {
  const { subscriptions, bus, peer, counters } = await setUp();
  const { promise, resolve } = Promise.withResolvers<void>();
  await subscriptions.add("x", { deliverAfter: promise });
  for (let i = 0; i < 30; i++) bus.publish("x", text("y".repeat(100_000)));
  expect(counters.get("droppedNewest")).toBeGreaterThan(15);
  expect(peer.plain).toEqual([]);
  resolve();
  await promise;
  await vi.waitFor(() => expect(peer.plain.length).toBe(30 - counters.get("droppedNewest")));
});
