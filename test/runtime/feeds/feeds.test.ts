import { describe, expect, it } from "vitest";
import { checkSubscribeOptions } from "../../../src/runtime/feeds/subscribe-options.ts";
import type { SubscribeOptions } from "../../../src/runtime/streams/subscribe.ts";
import { TopicRules } from "../../../src/runtime/streams/topic-rules.ts";
import { GatedEngine } from "../engine/gated-engine.ts";
import { RULES, startHost, text, until } from "../engine/host.ts";
import { createFeeds, Peer, tick } from "./peer.ts";

async function setUp(gated = new GatedEngine()) {
  const host = await startHost({}, gated.engine);
  const { client } = host.connect();
  const other = host.connect().client;
  return { gated, host, client, other, ...createFeeds(client) };
}

const addresses = (members: readonly { readonly address: string }[]) => members.map(({ address }) => address).sort();

describe.each(["p", "w"])("presence of the topic %s", (topic) => {
  it("has a member before the subscription's result, and not after it has left", async () => {
    const { enter, other } = await setUp();
    const [one, two] = [new Peer(), new Peer()];
    const first = enter(topic, one, { user: "ann", info: { colour: "red" } });
    await Promise.all([first.result, enter(topic, two).result]);
    const members = await other.members(topic, 10);
    expect(addresses(members)).toEqual([one.address, two.address].sort());
    expect(members).toContainEqual({ address: one.address, node: "node-1", user: "ann", info: '{"colour":"red"}' });
    first.leave();
    await until(() => first.subscription === undefined || first.subscription.hasEnded);
    await tick();
    expect(addresses(await other.members(topic, 10))).toEqual([two.address]);
  });

  it("waits for the join", async () => {
    const { enter, gated } = await setUp(new GatedEngine("join"));
    let hasResult = false;
    const { result } = enter(topic, new Peer());
    void result.then(() => {
      hasResult = true;
    });
    await until(() => gated.waiting.length === 1);
    await tick();
    expect(hasResult).toBe(false);
    gated.open();
    await result;
  });

  it("tells joins and leaves to those that asked, until they leave", async () => {
    const { enter, feeds } = await setUp();
    const [watching, other, plain] = [new Peer(), new Peer(), new Peer()];
    const watch = enter(topic, watching, { presenceChanges: true });
    await Promise.all([watch.result, enter(topic, plain).result]);
    const membership = enter(topic, other, { user: "bob", info: [1] });
    await membership.result;
    membership.leave();
    await until(() => watching.events.some(({ kind }) => kind === "left"));
    const member = { address: other.address, node: "node-1", user: "bob", info: [1] };
    expect(watching.events.filter((event) => "member" in event && event.member.address === other.address)).toEqual([
      { kind: "joined", topic, member, ofUser: true },
      { kind: "left", topic, member, ofUser: true },
    ]);
    expect(plain.events).toEqual([]);
    watch.leave();
    const { length } = watching.events;
    await enter(topic, new Peer()).result;
    await tick();
    expect(watching.events).toHaveLength(length);
    expect(feeds.size).toBe(1);
  });

  it("tells a doubt as missed changes", async () => {
    const { enter, gated } = await setUp();
    const watching = new Peer();
    await enter(topic, watching, { presenceChanges: true }).result;
    gated.owner?.doubted();
    await until(() => watching.events.some(({ kind }) => kind === "missed"));
    expect(watching.events.at(-1)).toEqual({ kind: "missed", topic });
  });
});

it("a membership that takes the place of another is no leave and no join", async () => {
  const { enter, other } = await setUp();
  const watching = new Peer();
  await enter("p", watching, { presenceChanges: true }).result;
  const peer = new Peer();
  const first = enter("p", peer);
  await first.result;
  const seen = () => watching.events.filter((each) => "member" in each && each.member.address === peer.address);
  await until(() => seen().length === 1);
  first.leave(true);
  const second = enter("p", peer, { since: "latest" });
  await second.result;
  await other.publish("p", text("x"));
  await until(() => peer.log.length === 1);
  expect(seen().map(({ kind }) => kind)).toEqual(["joined"]);
  expect(addresses(await other.members("p", 10))).toEqual([watching.address, peer.address].sort());
});

it("the result of a second subscription is the place of the first", async () => {
  const { enter, other } = await setUp();
  const peer = new Peer();
  const membership = enter("s", peer);
  expect(await membership.again({})).toEqual(await membership.result);
  await tick();
  const { position } = await other.publish("s", text("x"));
  await until(() => peer.log.length === 1);
  expect(await membership.again({})).toMatchObject({ wasRecovering: false, recovered: false, position });
  const present = enter("w", peer);
  expect((await present.again({})).position).toBeUndefined();
});

it("a hidden subscription isn't in presence, also not after a second one", async () => {
  const { enter, other } = await setUp();
  const [hidden, seen] = [new Peer(), new Peer()];
  const membership = enter("p", hidden, { hidden: true, user: "ann" });
  await Promise.all([membership.result, enter("p", seen).result]);
  await membership.again({ user: "bob" });
  expect(addresses(await other.members("p", 10))).toEqual([seen.address]);
});

it("messages without history from other nodes are passed on while the topic is held", async () => {
  const { feeds, gated, told, host } = await setUp();
  const { wanted, release } = feeds.hold("x", undefined);
  await wanted;
  gated.owner?.relayed("x", text("from afar"));
  await until(() => told.relayed.length === 1);
  release();
  await until(() => host.host.gauges()["wanted_topics"] === 0);
  gated.owner?.relayed("x", text("too late"));
  await tick();
  expect(told.relayed).toEqual(["from afar"]);
});

describe("checkSubscribeOptions", () => {
  const rules = new TopicRules(RULES);
  const circle: { self?: unknown } = {};
  circle.self = circle;

  it.each<[string, string, unknown]>([
    ["x", "ERR_NO_HISTORY", { since: "latest" }],
    ["w", "ERR_NO_HISTORY", { since: { epoch: "", offset: 0 } }],
    ["x", "ERR_ARGUMENT", { encode: "text" }],
    ["x", "ERR_ARGUMENT", { deliverAfter: 5 }],
    ["x", "ERR_ARGUMENT", { slowConsumerPolicy: "wait" }],
    ["p", "ERR_ARGUMENT", { hidden: 1 }],
    ["x", "ERR_NO_PRESENCE", { user: "ann" }],
    ["s", "ERR_NO_PRESENCE", { info: 1 }],
    ["s", "ERR_NO_PRESENCE", { presenceChanges: true }],
    ["q", "ERR_ARGUMENT", { presenceChanges: true }],
    ["s", "ERR_POSITION", { since: "newest" }],
    ["s", "ERR_POSITION", { since: { epoch: "e", offset: -1 } }],
    ["s", "ERR_POSITION", { since: { epoch: "e", offset: 2 ** 53 } }],
    ["s", "ERR_POSITION", { since: { epoch: "x".repeat(65), offset: 0 } }],
    ["s", "ERR_POSITION", { since: null }],
    ["s", "ERR_ARGUMENT", { encode: "text" }],
    ["x", "ERR_ARGUMENT", null],
    ["x", "ERR_ARGUMENT", 7],
    ["x", "ERR_ARGUMENT", { presenceChanges: "yes" }],
    ["p", "ERR_ARGUMENT", { presenceChanges: "yes" }],
    ["p", "ERR_ARGUMENT", { user: "ann", presenceChanges: 1 }],
    ["p", "ERR_ARGUMENT", { user: "" }],
    ["p", "ERR_ARGUMENT", { user: "\ud800" }],
    ["p", "ERR_ARGUMENT", { user: "é".repeat(128) }],
    ["p", "ERR_ARGUMENT", { user: 7 }],
    ["p", "ERR_ARGUMENT", { info: "x".repeat(4_095) }],
    ["p", "ERR_ARGUMENT", { info: circle }],
    ["p", "ERR_ARGUMENT", { info: () => {} }],
    ["p", "ERR_ARGUMENT", { info: 1n }],
  ])("on the topic %s throws %s for %o", (topic, code, options) => {
    const check = (): void => checkSubscribeOptions(topic, rules.of(topic), options as SubscribeOptions);
    expect(check).toThrowError(expect.objectContaining({ code }));
  });

  it.each(["s", "p", "x"])("on the topic %s names an unknown option and lists the known ones", (topic) => {
    const options = { sinse: "latest" } as SubscribeOptions;
    const message =
      'subscribe: unknown option "sinse"; the options are since, encode, deliverAfter, slowConsumerPolicy, hidden, user, info, presenceChanges';
    expect(() => checkSubscribeOptions(topic, rules.of(topic), options)).toThrowError(
      expect.objectContaining({ code: "ERR_ARGUMENT", message }),
    );
  });

  it.each<[string, SubscribeOptions]>([
    ["x", {}],
    ["x", { presenceChanges: false }],
    ["s", { since: "latest", encode: () => "" }],
    ["s", { since: { epoch: "", offset: Number.MAX_SAFE_INTEGER } }],
    ["w", { user: "é".repeat(127), info: "x".repeat(4_094), presenceChanges: true }],
    ["q", { user: "ann", info: null }],
  ])("on the topic %s accepts %o", (topic, options) => {
    expect(() => checkSubscribeOptions(topic, rules.of(topic), options)).not.toThrow();
  });
});
