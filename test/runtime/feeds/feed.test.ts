import { describe, expect, it } from "vitest";
import { EngineClient } from "../../../src/runtime/engine/client/engine-client.ts";
import type { Membership } from "../../../src/runtime/feeds/membership.ts";
import type { Engine } from "../../../src/runtime/streams/engine.ts";
import { createMemoryEngine } from "../../../src/runtime/streams/memory/memory-engine.ts";
import type { Publication } from "../../../src/runtime/streams/publication.ts";
import { GatedEngine } from "../engine/gated-engine.ts";
import { span, startHost, text, until } from "../engine/host.ts";
import { createFeeds, Peer, tick } from "./peer.ts";

async function setUp(engine?: Engine, mayGoOn?: () => Promise<void> | undefined) {
  const host = await startHost({}, engine);
  const { client } = host.connect();
  const publisher = host.connect().client;
  const feeds = createFeeds(client, undefined, undefined, mayGoOn);
  /** Publishes texts in order, and resolves with their positions. */
  const publish = async (topic: string, ...texts: (string | number)[]) => {
    const published = await Promise.all(texts.map((each) => publisher.publish(topic, text(String(each)))));
    return published.map(({ position }) => position);
  };
  return { ...feeds, host, client, publish };
}

async function publishSpan(
  publish: (topic: string, ...texts: number[]) => Promise<unknown>,
  topic: string,
  to: number,
) {
  await publish(topic, ...span(1, to));
}

const texts = ({ publications }: { publications: readonly Publication[] }) =>
  publications.map(({ message }) => message.text);

/** Lets the calls pass that wait at a gate, until a subscription has its result. */
async function openFor(gated: GatedEngine, { result }: Membership): Promise<void> {
  let hasResult = false;
  void result.then(() => {
    hasResult = true;
  });
  await openUntil(gated, () => hasResult);
}

/** Lets the calls pass that wait at a gate, until `condition` is true. */
async function openUntil(gated: GatedEngine, condition: () => boolean): Promise<void> {
  await until(() => {
    gated.open();
    return condition();
  });
}

describe("a subscription without a position", () => {
  it("gets what is published after its result, in order", async () => {
    const { enter, publish } = await setUp();
    await publish("s", "before");
    const peer = new Peer();
    const result = await enter("s", peer).result;
    expect(result).toMatchObject({ wasRecovering: false, recovered: false, publications: [] });
    expect(result.position?.offset).toBe(1);
    await publishSpan(publish, "s", 100);
    await until(() => peer.log.length === 100);
    expect(peer.log).toEqual(span(1, 100).map(String));
  });

  it("gets nothing before what the caller does right after the result", async () => {
    const { enter, publish } = await setUp();
    await enter("s", new Peer()).result;
    const peer = new Peer();
    let isPublishing = true;
    const publishing = (async () => {
      while (isPublishing) await publish("s", "x");
    })();
    for (let i = 0; i < 50; i++) {
      const joining = new Peer();
      await enter("s", joining).result;
      joining.log.push("sent");
      await until(() => joining.log.length > 2);
      expect(joining.log.indexOf("sent")).toBe(0);
    }
    isPublishing = false;
    await publishing;
    expect(peer.log).toEqual([]);
  });
});

describe("a subscription with a position", () => {
  it.each([
    { name: "of before the first", topic: "s", back: 20, missed: 20 },
    { name: "of the middle", topic: "s", back: 7, missed: 7 },
    { name: "of now", topic: "s", back: 0, missed: 0 },
    { name: "of the oldest that is kept", topic: "p", back: 10, missed: 10 },
  ])("recovers everything after a position $name", async ({ topic, back, missed }) => {
    const { enter, publish } = await setUp();
    const top = (await publish(topic, ...span(1, 20))).at(-1);
    for (const epoch of [top?.epoch ?? "", ""]) {
      const result = await enter(topic, new Peer(), { since: { epoch, offset: 20 - back } }).result;
      expect(result).toMatchObject({ wasRecovering: true, recovered: true, position: top });
      expect(texts(result)).toEqual(span(21 - missed, 20).map(String));
    }
  });

  it.each([
    { name: "older than what is kept", offset: 9 },
    { name: "of the future", offset: 21 },
    { name: "far in the future", offset: Number.MAX_SAFE_INTEGER },
    { name: "of another epoch", offset: 20, epoch: "other" },
    { name: "before a history that was removed", offset: 19, remove: true },
  ])("gets no part of a chain for a position $name", async ({ offset, epoch, remove }) => {
    const { enter, publish, client } = await setUp();
    const top = (await publish("p", ...span(1, 20))).at(-1);
    if (remove) await client.removeHistory("p");
    const peer = new Peer();
    const since = { epoch: epoch ?? top?.epoch ?? "", offset };
    const result = await enter("p", peer, { since }).result;
    expect(result).toEqual({ wasRecovering: true, recovered: false, publications: [], position: top });
    await publish("p", "later");
    await until(() => peer.log.length === 1);
    expect(peer.log).toEqual(["later"]);
  });

  it("merges what is published during the read", async () => {
    const gated = new GatedEngine("history");
    const { enter, publish } = await setUp(gated.engine);
    const holder = enter("s", new Peer());
    await openFor(gated, holder);
    await publish("s", 1, 2, 3);
    const peer = new Peer();
    let result: string[] | undefined;
    const { result: promise } = enter("s", peer, { since: { epoch: "", offset: 0 } });
    void promise.then((subscribed) => {
      result = texts(subscribed);
    });
    await until(() => gated.waiting.length > 0);
    await publish("s", 4, 5);
    gated.open();
    await until(() => result !== undefined);
    await publish("s", 6);
    await until(() => peer.log.includes("6"));
    expect([...(result ?? []), ...peer.log]).toEqual(["1", "2", "3", "4", "5", "6"]);
  });

  it("waits for its turn after the read, and misses nothing that is published meanwhile", async () => {
    const turns: (() => void)[] = [];
    let isBusy = false;
    const mayGoOn = () => (isBusy ? new Promise<void>((resolve) => turns.push(resolve)) : undefined);
    const { enter, publish } = await setUp(undefined, mayGoOn);
    const holder = new Peer();
    await enter("s", holder).result;
    await publish("s", 1, 2, 3);
    isBusy = true;
    const peer = new Peer();
    let result: string[] | undefined;
    void enter("s", peer, { since: { epoch: "", offset: 0 } }).result.then((subscribed) => {
      result = texts(subscribed);
    });
    // One turn after the topic is wanted, and one after the read.
    await until(() => turns.length === 1);
    turns[0]?.();
    await until(() => turns.length === 2);
    await publish("s", 4);
    await until(() => holder.log.includes("4"));
    expect(result).toBeUndefined();
    turns[1]?.();
    await until(() => result !== undefined);
    await publish("s", 5);
    await until(() => peer.log.includes("5"));
    expect([...(result ?? []), ...peer.log]).toEqual(["1", "2", "3", "4", "5"]);
  });

  it("reads a position newer than what has arrived here, even while an older read is under way", async () => {
    const gated = new GatedEngine("history");
    const { enter, publish, client } = await setUp(gated.engine);
    const holder = enter("s", new Peer());
    await openFor(gated, holder);
    const [first] = await publish("s", 1, 2);
    // What the engine reads for the first subscriber is older than the position of the second.
    const early = client.readSince("s", 0);
    await until(() => gated.waiting.length === 1);
    const late = client.readSince("s", 5);
    gated.open();
    await early;
    await publish("s", 3, 4, 5);
    await until(() => gated.waiting.length === 1);
    gated.open();
    expect(await late).toMatchObject({ top: { epoch: first?.epoch, offset: 5 }, records: [] });
  });
});

describe("a subscription to the latest", () => {
  it("gets the newest publication, or none from an empty stream", async () => {
    const { enter, publish } = await setUp();
    const empty = await enter("s", new Peer(), { since: "latest" }).result;
    expect(empty).toMatchObject({ wasRecovering: true, recovered: false, publications: [], position: { offset: 0 } });
    const top = (await publish("s", 1, 2, 3)).at(-1);
    const result = await enter("s", new Peer(), { since: "latest" }).result;
    expect(result).toMatchObject({ recovered: true, position: top });
    expect(texts(result)).toEqual(["3"]);
  });

  it("has no hole after the newest, however much is published during the read", async () => {
    const gated = new GatedEngine("history");
    const { enter, publish } = await setUp(gated.engine);
    const holder = new Peer();
    await openFor(gated, enter("s", holder));
    gated.holdsAnswers = true;
    await publish("s", 1);
    const peer = new Peer();
    let latest: string[] | undefined;
    void enter("s", peer, { since: "latest" }).result.then((subscribed) => {
      latest = texts(subscribed);
    });
    await until(() => gated.waiting.length > 0);
    // The engine has read publication 1, and the answer comes behind these.
    await publish("s", ...span(2, 1_500));
    await until(() => holder.log.length === 1_500);
    await openUntil(gated, () => peer.log.at(-1) === "1500");
    expect(latest).toHaveLength(1);
    const first = Number(latest?.[0]);
    expect(peer.log).toEqual(span(first + 1, 1_500).map(String));
  });
});

describe("a subscription whose peer reads slowly", () => {
  it("catches up from the history, a page after each time the peer has read, and is then live again", async () => {
    const { enter, publish, told } = await setUp();
    const peer = new Peer();
    await enter("s", peer).result;
    await tick();
    peer.room = 3;
    await publishSpan(publish, "s", 1_000);
    await until(() => peer.isWaitedFor);
    expect(peer.log).toEqual(["1", "2", "3"]);
    for (let room = 50; !peer.log.includes("1000"); room += 50) {
      const before = peer.log.length;
      peer.drain(room);
      await until(() => peer.isWaitedFor || peer.log.includes("1000"));
      expect(peer.log.length - before).toBeLessThanOrEqual(room);
    }
    expect(peer.log).toEqual(span(1, 1_000).map(String));
    expect(told).toMatchObject({ behind: 1, lost: 0 });
    peer.drain();
    await publish("s", "live");
    await until(() => peer.log.at(-1) === "live");
  });

  it("is told when the history no longer has what it missed", async () => {
    const { enter, publish, told, feeds } = await setUp();
    const peer = new Peer();
    const membership = enter("p", peer);
    await membership.result;
    await tick();
    peer.room = 0;
    const positions = await publish("p", ...span(1, 12));
    await until(() => peer.refusals > 0);
    peer.drain();
    await until(() => peer.log.length > 0);
    expect(peer.log).toEqual(["lost"]);
    expect(peer.lost).toEqual([{ topic: "p", top: positions.at(-1) }]);
    expect(told).toMatchObject({ behind: 1, lost: 1 });
    expect(feeds.size).toBe(0);
  });

  it("reads again when a read fails", async () => {
    const memory = createMemoryEngine({}, "node-1");
    let failures = 3;
    const engine = new Proxy(memory, {
      get: (target, name: keyof Engine) => {
        const member: unknown = target[name];
        if (typeof member !== "function") return member;
        return (...args: unknown[]) => {
          const isPage = name === "history" && (args[1] as { limit: number }).limit > 0;
          if (isPage && failures-- > 0) throw new Error("not now");
          return member.apply(target, args);
        };
      },
    });
    const { enter, publish } = await setUp(engine);
    const peer = new Peer();
    await enter("s", peer).result;
    await tick();
    peer.room = 1;
    await publish("s", 1, 2, 3);
    await until(() => peer.isWaitedFor);
    peer.drain();
    await until(() => peer.log.length === 3);
    expect(failures).toBeLessThan(0);
    expect(peer.log).toEqual(["1", "2", "3"]);
  });

  it("gets the newest after it has read, on a topic that keeps only the newest, and is then live again", async () => {
    const { enter, publish, told } = await setUp();
    const peer = new Peer();
    await enter("n", peer).result;
    await tick();
    peer.room = 1;
    await publish("n", 1, 2, 3);
    await until(() => peer.isWaitedFor);
    expect([peer.log, peer.refusals]).toEqual([["1"], 1]);
    peer.drain();
    await until(() => peer.log.length === 2);
    await publish("n", 4);
    await until(() => peer.log.length === 3);
    expect(peer.log).toEqual(["1", "3", "4"]);
    expect(told).toMatchObject({ behind: 1, lost: 0 });
  });

  it("gets the newest of more than the feed remembers, on a topic that keeps only the newest", async () => {
    const gated = new GatedEngine("history");
    const { enter, publish, told } = await setUp(gated.engine);
    const [peer, quick] = [new Peer(), new Peer()];
    for (const each of [peer, quick]) await openFor(gated, enter("n", each));
    await tick();
    peer.room = 0;
    await publish("n", 1);
    await until(() => peer.isWaitedFor);
    peer.drain();
    gated.holdsAnswers = true;
    await until(() => gated.waiting.length > 0);
    // The engine has read publication 1, and the answer comes behind these.
    await publish("n", ...span(2, 3_000));
    await until(() => quick.log.length === 3_000);
    gated.open();
    await until(() => peer.log.length > 0);
    await tick();
    expect([peer.log.at(-1), told.behind]).toEqual(["3000", 1]);
    await publish("n", "last");
    await until(() => peer.log.at(-1) === "last");
    expect(peer.log).toEqual(["1", "3000", "last"]);
  });
});

describe("deliveries that get lost on the way", () => {
  /** A client that loses what arrives while `loses` is true. */
  async function setUpLossy() {
    const gated = new GatedEngine();
    const parts = await setUp(gated.engine);
    let loses = false;
    const want = parts.client.want.bind(parts.client);
    parts.client.want = (topic, feed, options) => {
      const published = feed.published.bind(feed);
      feed.published = (...args) => (loses ? undefined : published(...args));
      return want(topic, feed, options);
    };
    const lose = async (topic: string, ...lost: number[]) => {
      loses = true;
      const seen = new Peer();
      const other = createFeeds(parts.host.connect().client);
      await other.enter(topic, seen).result;
      await tick();
      await parts.publish(topic, ...lost);
      await until(() => seen.log.length === lost.length);
      await tick();
      loses = false;
    };
    return { ...parts, lose, doubt: () => gated.owner?.doubted() };
  }

  it.each(["the next publication", "a higher top"])("are read from the history when %s shows the hole", async (by) => {
    const { enter, publish, lose, doubt, told } = await setUpLossy();
    const peer = new Peer();
    await enter("s", peer).result;
    await publish("s", 1, 2);
    await until(() => peer.log.length === 2);
    await lose("s", 3, 4, 5);
    if (by === "a higher top") doubt();
    else await publish("s", 6);
    await until(() => peer.log.length >= 5);
    await publish("s", 7);
    await until(() => peer.log.at(-1) === "7");
    expect(peer.log).toEqual(by === "a higher top" ? ["1", "2", "3", "4", "5", "7"] : span(1, 7).map(String));
    expect(told.lost).toBe(0);
  });

  it("are told when the history no longer has them", async () => {
    const { enter, publish, lose, told, feeds } = await setUpLossy();
    const peers = [new Peer(), new Peer()];
    await Promise.all(peers.map((peer) => enter("p", peer).result));
    await tick();
    await lose("p", ...span(1, 15));
    await publish("p", 16);
    await until(() => peers.every(({ lost }) => lost.length === 1));
    expect(peers.map(({ log }) => log)).toEqual([["lost"], ["lost"]]);
    expect(told.lost).toBe(2);
    expect(feeds.size).toBe(0);
  });

  it("do no harm on a topic that keeps only the newest", async () => {
    const { enter, publish, lose, doubt, told } = await setUpLossy();
    const peer = new Peer();
    await enter("n", peer).result;
    await tick();
    await lose("n", 1, 2, 3);
    await publish("n", 4);
    await lose("n", 5, 6);
    doubt();
    await until(() => peer.log.length === 2);
    expect(peer.log).toEqual(["4", "6"]);
    expect(told.lost).toBe(0);
  });
});

describe("encode", () => {
  it("is called once for each publication and function, however many subscriptions are live", async () => {
    const { enter, publish } = await setUp();
    const calls: string[] = [];
    const one = ({ offset, message }: Publication) => `${calls.push("one") && offset} ${message.text}`;
    const other = ({ topic, message }: Publication) => `${calls.push("other") && topic} ${message.text}`;
    const peers = span(1, 20).map(() => new Peer());
    const encodes = [one, other, undefined];
    await Promise.all(peers.map((peer, i) => enter("s", peer, { encode: encodes[i % 3] }).result));
    await tick();
    await publish("s", "a", "b");
    await until(() => peers.every(({ log }) => log.length === 2));
    expect(calls.toSorted()).toEqual(["one", "one", "other", "other"]);
    expect(peers.slice(0, 3).map(({ log }) => log)).toEqual([
      ["1 a", "2 b"],
      ["s a", "s b"],
      ["a", "b"],
    ]);
  });

  it("that throws ends exactly its subscriptions, which are told", async () => {
    const { enter, publish, told } = await setUp();
    const bad = (): string => {
      throw new Error("bad");
    };
    const [failing, also, fine] = [new Peer(), new Peer(), new Peer()];
    await Promise.all([
      enter("s", failing, { encode: bad }).result,
      enter("s", also, { encode: bad }).result,
      enter("s", fine).result,
    ]);
    await tick();
    await publish("s", 1, 2);
    await until(() => fine.log.length === 2);
    for (const { log, errors } of [failing, also]) {
      expect(log).toEqual(["lost", "encode failed"]);
      expect(errors).toMatchObject([{ message: "bad" }]);
    }
    expect(told.lost).toBe(2);
  });

  it("isn't called any more when its last subscription leaves, also one that is behind", async () => {
    const { enter, publish } = await setUp();
    const watching = new Peer();
    await enter("s", watching).result;
    let calls = 0;
    const peer = new Peer();
    const membership = enter("s", peer, { encode: ({ message }) => `${++calls} ${message.text}` });
    await membership.result;
    await tick();
    peer.room = 0;
    await publish("s", 1, 2);
    await until(() => peer.isWaitedFor);
    peer.drain(1);
    await until(() => peer.isWaitedFor);
    expect(peer.log).toHaveLength(1);
    membership.leave();
    const before = calls;
    await publish("s", 3);
    await until(() => watching.log.length === 3);
    expect(calls).toBe(before);
  });
});

describe("the last subscription that leaves lets the topic go", () => {
  const phases: { name: string; room: number; until: (peer: Peer, membership: Membership) => Promise<unknown> }[] = [
    { name: "while the engine is asked", room: 1, until: async () => {} },
    { name: "right after the result", room: 1, until: (_, { result }) => result },
    { name: "live", room: 10, until: (_, { result }) => result.then(tick) },
    { name: "while it is behind", room: 0, until: (peer) => until(() => peer.isWaitedFor) },
  ];

  it.each(phases)("$name", async ({ room, until: reached }) => {
    const { enter, feeds, host, publish, told } = await setUp();
    await publish("s", 1);
    const peer = new Peer();
    peer.room = room;
    const membership = enter("s", peer, { since: { epoch: "", offset: 0 } });
    membership.result.catch(() => {});
    const publishing = setInterval(() => void publish("s", 2), 1);
    await reached(peer, membership);
    clearInterval(publishing);
    membership.leave();
    membership.leave();
    const { length } = peer.log;
    expect(feeds.size).toBe(0);
    peer.drain();
    await until(() => host.host.gauges()["wanted_topics"] === 0);
    await publish("s", 3);
    await tick();
    expect(peer.log).toHaveLength(length);
    expect(told.lost).toBe(0);
  });

  it("while the feed reads what it missed", async () => {
    const gated = new GatedEngine("history");
    const { enter, feeds, publish, host } = await setUp(gated.engine);
    const peer = new Peer();
    const membership = enter("s", peer);
    await openFor(gated, membership);
    await tick();
    gated.owner?.published("s", membership.subscription?.epoch ?? "", { offset: 7, timeMs: 0, frame: text("7") });
    await until(() => gated.waiting.length === 1);
    membership.leave();
    expect(feeds.size).toBe(0);
    gated.open();
    await until(() => host.host.gauges()["wanted_topics"] === 0);
    await publish("s", 1);
    expect(peer.log).toEqual([]);
  });
});

describe("without the engine", () => {
  it("a subscription is rejected, leaves nothing, and works later", async () => {
    const { host } = await setUp();
    const client = new EngineClient();
    const { enter, feeds } = createFeeds(client);
    const peer = new Peer();
    const results = [
      enter("s", peer).result,
      enter("s", new Peer(), { since: "latest" }).result,
      enter("p", peer).result,
    ];
    for (const result of results) await expect(result).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
    expect(feeds.size).toBe(0);
    host.reconnect(client);
    expect(await enter("s", peer).result).toMatchObject({ position: { offset: 0 } });
    client.close();
  });

  it("a topic that is held is asked for again by the next one that holds it", async () => {
    const { host, publish } = await setUp();
    const client = new EngineClient();
    const { enter, feeds } = createFeeds(client);
    const held = feeds.hold("s", undefined);
    await expect(held.wanted).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
    host.reconnect(client);
    const peer = new Peer();
    await enter("s", peer).result;
    await tick();
    // The first one gives up what it never got.
    held.release();
    await publish("s", 1);
    await until(() => peer.log.length === 1);
    client.close();
  });

  it("a read that fails rejects the subscription, and no other", async () => {
    const gated = new GatedEngine("history");
    const { enter, host, client, feeds } = await setUp(gated.engine);
    const live = enter("s", new Peer());
    await openFor(gated, live);
    const { result } = enter("s", new Peer(), { since: { epoch: "", offset: 3 } });
    await until(() => gated.waiting.length === 1);
    await host.host.stop();
    await expect(result).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
    expect(client.isConnected).toBe(false);
    expect(live.subscription?.phase).toBe("live");
    expect(feeds.size).toBe(1);
  });

  it("a replaced engine without its data costs each subscription its place, once", async () => {
    const { enter, host, client, told, publish } = await setUp();
    await publish("s", 1);
    const peers = span(1, 3).map(() => new Peer());
    await Promise.all(peers.map((peer) => enter("s", peer).result));
    await tick();
    const next = await startHost();
    await host.host.stop();
    next.reconnect(client);
    await until(() => told.lost === 3);
    const { top } = await client.history("s", { limit: 0 });
    expect(peers.map(({ lost }) => lost)).toEqual(peers.map(() => [{ topic: "s", top }]));
    const peer = new Peer();
    await enter("s", peer).result;
    await tick();
    await client.publish("s", text("new"));
    await until(() => peer.log.length === 1);
    expect(told.lost).toBe(3);
  });
});

describe("a publication that isn't stored", () => {
  async function setUpUnstored() {
    const { host, enter, told, publish } = await setUp();
    const { client } = host.connect();
    return {
      enter,
      told,
      publish,
      pass: (topic: string, each: string) => client.publish(topic, text(each), { store: false }),
    };
  }

  it("reaches subscriptions without an offset, and moves none", async () => {
    const { enter, publish, pass } = await setUpUnstored();
    const [peer, told] = [new Peer(), new Peer()];
    await enter("s", peer).result;
    const encode = ({ epoch, offset, message }: Publication) => `${offset} ${epoch === ""} ${message.text}`;
    await enter("s", told, { encode }).result;
    await publish("s", "a");
    expect((await pass("s", "fleeting")).position).toEqual({ epoch: "", offset: 0 });
    await publish("s", "b");
    await until(() => told.log.length === 3);
    expect(peer.log).toEqual(["a", "fleeting", "b"]);
    expect(told.log).toEqual(["1 false a", "0 true fleeting", "2 false b"]);
    expect((await enter("s", new Peer()).result).position?.offset).toBe(2);
  });

  it.each(["s", "n"])("is dropped for a peer that reads too slowly, whose place in %s stays", async (topic) => {
    const { enter, publish, pass, told } = await setUpUnstored();
    const [peer, other] = [new Peer(), new Peer()];
    await enter(topic, peer).result;
    await enter(topic, other).result;
    await publish(topic, "a");
    await until(() => peer.log.length === 1 && other.log.length === 1);
    peer.room = 0;
    await pass(topic, "fleeting");
    await until(() => other.log.length === 2);
    expect(told).toMatchObject({ dropped: 1, behind: 0, lost: 0 });
    peer.room = Number.POSITIVE_INFINITY;
    await publish(topic, "b");
    await until(() => peer.log.length === 2);
    expect(peer.log).toEqual(["a", "b"]);
  });

  it("waits for a subscription that is about to go live", async () => {
    const { enter, publish, pass } = await setUpUnstored();
    const [peer, other] = [new Peer(), new Peer()];
    await enter("s", other).result;
    const deliverAfter = Promise.withResolvers<void>();
    await enter("s", peer, { deliverAfter: deliverAfter.promise }).result;
    await publish("s", "a");
    await pass("s", "fleeting");
    await until(() => other.log.length === 2);
    expect(peer.log).toEqual([]);
    deliverAfter.resolve();
    await until(() => peer.log.length === 2);
    expect(peer.log).toEqual(["a", "fleeting"]);
  });

  /** A peer that joins with a position; the engine reads for it up to 1, and as much is published meanwhile. */
  async function joinDuring(publishMeanwhile: (parts: Awaited<ReturnType<typeof setUpGated>>) => Promise<void>) {
    const parts = await setUpGated();
    const [holder, peer] = [new Peer(), new Peer()];
    await openFor(parts.gated, parts.enter("s", holder));
    await parts.publish("s", 1);
    await until(() => holder.log.length === 1);
    parts.gated.holdsAnswers = true;
    const membership = parts.enter("s", peer, { since: { epoch: "", offset: 0 } });
    const { result } = membership;
    await until(() => parts.gated.waiting.length > 0);
    await publishMeanwhile(parts);
    await until(() => holder.log.at(-1) === "last");
    return { ...parts, holder, peer, membership, result };
  }

  async function setUpGated() {
    const gated = new GatedEngine("history");
    const parts = await setUp(gated.engine);
    const { client } = parts.host.connect();
    const pass = (each: string) => client.publish("s", text(each), { store: false });
    return { ...parts, gated, pass };
  }

  it("reaches a subscription that catches up, between the stored ones", async () => {
    const { gated, peer, holder, told, membership } = await joinDuring(async ({ publish, pass }) => {
      for (const start of span(0, 5)) {
        await publish("s", ...span(300 * start + 2, 300 * start + 301));
        await pass(`fleeting ${start}`);
      }
      await publish("s", "last");
    });
    // More was published than is remembered, so there are pages to read.
    const phases = new Set<string | undefined>();
    await openUntil(gated, () => {
      phases.add(membership.subscription?.phase);
      return peer.log.at(-1) === "last";
    });
    expect([...phases]).toContain("catchingUp");
    const first = holder.log.indexOf(peer.log[0] as string);
    expect(first).toBeLessThan(300);
    expect(peer.log).toEqual(holder.log.slice(first));
    expect(told).toMatchObject({ behind: 0, dropped: 0, lost: 0 });
  });

  it("isn't delivered after the position that the result has told", async () => {
    const { gated, peer, membership, result, pass, publish } = await joinDuring(async ({ publish, pass }) => {
      await pass("before");
      await publish("s", 2);
      await pass("after");
      await publish("s", "last");
    });
    // The result has everything up to the last.
    await openFor(gated, membership);
    expect(texts(await result)).toEqual(["1", "2", "last"]);
    await tick();
    await pass("live");
    await publish("s", 4);
    await until(() => peer.log.at(-1) === "4");
    expect(peer.log).toEqual(["live", "4"]);
  });

  it("is dropped for a subscription that is behind, and counted", async () => {
    const { enter, publish, pass, told } = await setUpUnstored();
    const [peer, other] = [new Peer(), new Peer()];
    for (const each of [peer, other]) await enter("s", each).result;
    await tick();
    peer.room = 0;
    await publish("s", 1);
    await until(() => peer.isWaitedFor);
    for (const each of ["a", "b", "c"]) await pass("s", each);
    await publish("s", 2);
    await until(() => other.log.at(-1) === "2");
    peer.drain();
    await until(() => peer.log.at(-1) === "2");
    await pass("s", "live");
    await until(() => peer.log.at(-1) === "live");
    expect(peer.log).toEqual(["1", "2", "live"]);
    expect(told).toMatchObject({ behind: 1, dropped: 3, lost: 0 });
  });
});
