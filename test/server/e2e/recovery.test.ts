/** Clients get what they missed, or hear that it is gone. */
import { describe, expect, it } from "vitest";
import { INSECURE } from "../support/server.ts";
import { codecs, ways } from "./support/clients.ts";
import { next, take } from "./support/events.ts";
import { freshChannel, SharedServer } from "./support/shared-server.ts";

const history = { history_size: 100, history_ttl: "300s", force_recovery: true };
const cache = { ...history, force_recovery_mode: "cache" };
const shared = new SharedServer({
  ...INSECURE,
  channel: {
    ...INSECURE.channel,
    namespaces: [
      { name: "smallhistory", ...history, history_size: 2 },
      { name: "cache", ...cache },
      { name: "autocache", ...cache, auto_cache_recover: true },
      { name: "optional", history_size: 100, history_ttl: "300s", allow_recovery: true },
    ],
  },
});

describe.each(ways)("a client, $name,", (way) => {
  it.each(["the connection", "the subscription"])("gets what it missed without %s, in order", async (part) => {
    const channel = freshChannel();
    const client = await way.connect(shared.url);
    const subscription = client.newSubscription(channel);
    subscription.subscribe();
    await subscription.ready();
    const first = next(subscription, "publication");
    await shared.publish(channel, 1);
    await first;
    const rest = take(subscription, "publication", 4);
    if (part === "the connection") client.disconnect();
    else subscription.unsubscribe();
    await shared.publish(channel, 2, 3, 4);
    const subscribed = next(subscription, "subscribed");
    if (part === "the connection") client.connect();
    else subscription.subscribe();
    expect(await subscribed).toMatchObject({ wasRecovering: true, recovered: true, hasRecoveredPublications: true });
    await shared.publish(channel, 5);
    const publications = await rest;
    expect(publications.map(({ data }) => way.value(data))).toEqual([2, 3, 4, 5]);
    expect(publications.map(({ offset }) => offset)).toEqual([2, 3, 4, 5]);
  });

  it("hears that what it missed is gone, and goes on from the top", async () => {
    const channel = freshChannel("smallhistory");
    const client = await way.connect(shared.url);
    const subscription = client.newSubscription(channel);
    subscription.subscribe();
    await subscription.ready();
    subscription.unsubscribe();
    await shared.publish(channel, 1, 2, 3);
    const subscribed = next(subscription, "subscribed");
    subscription.subscribe();
    expect(await subscribed).toMatchObject({
      wasRecovering: true,
      recovered: false,
      hasRecoveredPublications: false,
      streamPosition: { offset: 3 },
    });
    const live = next(subscription, "publication");
    await shared.publish(channel, 4);
    expect(way.value((await live).data)).toBe(4);
  });
});

describe.each(codecs)("a client, $format,", (way) => {
  it("gets exactly what a small history still has", async () => {
    const channel = freshChannel("smallhistory");
    const client = await way.connect(shared.url);
    const subscription = client.newSubscription(channel);
    subscription.subscribe();
    await subscription.ready();
    subscription.unsubscribe();
    await shared.publish(channel, 1, 2);
    const missed = take(subscription, "publication", 2);
    subscription.subscribe();
    expect((await missed).map(({ data }) => way.value(data))).toEqual([1, 2]);
  });

  it("begins at a position of its own", async () => {
    const channel = freshChannel();
    await shared.publish(channel, 1, 2, 3);
    const { epoch } = await shared.api("history", { channel });
    const client = await way.connect(shared.url);
    const subscription = client.newSubscription(channel, { since: { offset: 1, epoch: String(epoch) } });
    const missed = take(subscription, "publication", 2);
    subscription.subscribe();
    expect((await missed).map(({ data }) => way.value(data))).toEqual([2, 3]);
  });

  it("hears that a position of another epoch is gone", async () => {
    const channel = freshChannel();
    await shared.publish(channel, 1, 2, 3);
    const client = await way.connect(shared.url);
    const subscription = client.newSubscription(channel, { since: { offset: 3, epoch: "foreign" } });
    const subscribed = next(subscription, "subscribed");
    subscription.subscribe();
    expect(await subscribed).toMatchObject({ wasRecovering: true, recovered: false });
  });

  it("recovers only if it asks to, where recovery is allowed and not forced", async () => {
    const client = await way.connect(shared.url);
    for (const recoverable of [true, false]) {
      const subscription = client.newSubscription(freshChannel("optional"), recoverable ? { recoverable } : {});
      const subscribed = next(subscription, "subscribed");
      subscription.subscribe();
      expect(await subscribed).toMatchObject({ recoverable });
    }
  });

  it("gets only the newest publication in a channel that is a cache", async () => {
    const channel = freshChannel("cache");
    const client = await way.connect(shared.url);
    const subscription = client.newSubscription(channel);
    const received: unknown[] = [];
    subscription.on("publication", ({ data }) => received.push(way.value(data)));
    subscription.subscribe();
    await subscription.ready();
    subscription.unsubscribe();
    await shared.publish(channel, 1, 2, 3);
    const subscribed = next(subscription, "subscribed");
    subscription.subscribe();
    expect(await subscribed).toMatchObject({ wasRecovering: true, recovered: true });
    const live = next(subscription, "publication");
    await shared.publish(channel, 4);
    await live;
    expect(received).toEqual([3, 4]);
    subscription.unsubscribe();
    const again = next(subscription, "subscribed");
    subscription.subscribe();
    expect(await again).toMatchObject({ recovered: true, hasRecoveredPublications: false });
  });

  it("gets the newest publication at its first subscription, where that is on", async () => {
    const channel = freshChannel("autocache");
    await shared.publish(channel, 1, 2);
    const client = await way.connect(shared.url);
    const subscription = client.newSubscription(channel);
    const newest = next(subscription, "publication");
    subscription.subscribe();
    expect(way.value((await newest).data)).toBe(2);
  });
});

describe.each(codecs)("getState, $format,", (way) => {
  it("gives the position where the first subscription begins", async () => {
    const channel = freshChannel();
    await shared.publish(channel, 1, 2, 3);
    const { epoch } = await shared.api("history", { channel });
    const client = await way.connect(shared.url);
    const subscription = client.newSubscription(channel, {
      getState: async () => ({ offset: 1, epoch: String(epoch) }),
    });
    const missed = take(subscription, "publication", 2);
    subscription.subscribe();
    expect((await missed).map(({ data }) => way.value(data))).toEqual([2, 3]);
  });

  it("isn't asked again while the position can be recovered", async () => {
    const channel = freshChannel();
    const client = await way.connect(shared.url);
    let calls = 0;
    const subscription = client.newSubscription(channel, {
      getState: async () => {
        calls++;
        return { offset: 0, epoch: "" };
      },
    });
    subscription.subscribe();
    await subscription.ready();
    client.disconnect();
    await shared.publish(channel, 1);
    const missed = next(subscription, "publication");
    client.connect();
    await missed;
    expect(calls).toBe(1);
  });

  it("is asked again after error 112, when the position is gone", async () => {
    const channel = freshChannel("smallhistory");
    const client = await way.connect(shared.url);
    let calls = 0;
    const subscription = client.newSubscription(channel, {
      minResubscribeDelay: 1,
      maxResubscribeDelay: 1,
      getState: async () => {
        calls++;
        const { offset = 0, epoch } = await shared.api("history", { channel });
        return { offset: Number(offset), epoch: String(epoch) };
      },
    });
    subscription.subscribe();
    await subscription.ready();
    client.disconnect();
    await shared.publish(channel, 1, 2, 3, 4, 5);
    const subscribed = next(subscription, "subscribed");
    client.connect();
    expect(await subscribed).toMatchObject({ recovered: true, streamPosition: { offset: 5 } });
    expect(calls).toBe(2);
  });
});
