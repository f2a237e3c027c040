/** Clients subscribe to channels, publish to them, and leave them. */
import { describe, expect, it, vi } from "vitest";
import { INSECURE } from "../support/server.ts";
import { codecs, ways } from "./support/clients.ts";
import { next, take } from "./support/events.ts";
import { freshChannel, SharedServer } from "./support/shared-server.ts";

const shared = new SharedServer({ ...INSECURE, client: { ...INSECURE.client, channel_limit: 150 } });

describe.each(ways)("a client, $name,", (way) => {
  it("subscribes and unsubscribes", async () => {
    const client = await way.connect(shared.url);
    const subscription = client.newSubscription(freshChannel());
    const subscribed = next(subscription, "subscribed");
    subscription.subscribe();
    expect(await subscribed).toMatchObject({ recoverable: true, positioned: true, wasRecovering: false });
    const unsubscribed = next(subscription, "unsubscribed");
    subscription.unsubscribe();
    expect(await unsubscribed).toMatchObject({ code: 0, reason: "unsubscribe called" });
    await client.ready();
    await expect(subscription.publish(way.data(1))).rejects.toMatchObject({ code: 7 });
  });

  it("gets its own publications, with the publisher, the offset and the payload as it was", async () => {
    const client = await way.connect(shared.url);
    const subscription = client.newSubscription(freshChannel());
    subscription.subscribe();
    await subscription.ready();
    const values = [{ text: "ü 😀\n" }, [1, 2.5, null], "text", 7, false];
    const received = take(subscription, "publication", values.length);
    for (const value of values) await subscription.publish(way.data(value));
    const publications = await received;
    expect(publications.map(({ data }) => way.value(data))).toEqual(values);
    expect(publications.map(({ offset }) => offset)).toEqual([1, 2, 3, 4, 5]);
    expect(publications[0]?.info).toMatchObject({ user: "", client: expect.any(String) });
  });

  it("subscribes and unsubscribes in a loop, and ends as it was told last", async () => {
    const channel = freshChannel();
    const client = await way.connect(shared.url);
    const subscription = client.newSubscription(channel);
    for (let round = 0; round < 10; round++) {
      subscription.subscribe();
      if (round % 3 === 0) await subscription.ready();
      subscription.unsubscribe();
    }
    // Over HTTP the two requests may overtake each other.
    await vi.waitFor(async () => expect((await client.presenceStats(channel)).numClients).toBe(0));
    subscription.subscribe();
    await subscription.ready();
    expect((await client.presenceStats(channel)).numClients).toBe(1);
  });

  it("holds many subscriptions, and gets them all back when it reconnects", async () => {
    const client = await way.connect(shared.url);
    const subscriptions = Array.from({ length: 100 }, () => client.newSubscription(freshChannel()));
    for (const subscription of subscriptions) subscription.subscribe();
    await Promise.all(subscriptions.map((subscription) => subscription.ready()));
    client.disconnect();
    client.connect();
    await Promise.all(subscriptions.map((subscription) => subscription.ready()));
    const received = Promise.all(subscriptions.map((subscription) => next(subscription, "publication")));
    await shared.api("broadcast", { channels: subscriptions.map(({ channel }) => channel), data: "all" });
    expect((await received).map(({ data }) => way.value(data))).toEqual(subscriptions.map(() => "all"));
  });
});

describe.each(codecs)("a client, $format,", (way) => {
  it("may unsubscribe before it has connected", async () => {
    const channel = freshChannel();
    const client = way.create(shared.url);
    const subscription = client.newSubscription(channel);
    subscription.subscribe();
    client.connect();
    subscription.unsubscribe();
    await client.ready();
    // Over HTTP the two requests may overtake each other.
    await vi.waitFor(async () => expect((await client.presenceStats(channel)).numClients).toBe(0));
  });

  it("tries again after its application had no data for the subscription", async () => {
    const client = await way.connect(shared.url);
    let calls = 0;
    const subscription = client.newSubscription(freshChannel(), {
      minResubscribeDelay: 1,
      maxResubscribeDelay: 1,
      getData: async () => {
        calls++;
        if (calls === 1) throw new Error("not now");
        return way.data({ calls });
      },
    });
    subscription.subscribe();
    await subscription.ready();
    expect(calls).toBe(2);
  });

  it("publishes to a channel without a subscription", async () => {
    const channel = freshChannel();
    const [one, other] = [await way.connect(shared.url), await way.connect(shared.url)];
    const subscription = one.newSubscription(channel);
    subscription.subscribe();
    await subscription.ready();
    const received = next(subscription, "publication");
    await other.publish(channel, way.data("from afar"));
    expect(way.value((await received).data)).toBe("from afar");
  });
});

it("JSON and Protobuf clients hear each other", async () => {
  const channel = freshChannel();
  const subscriptions = await Promise.all(
    codecs.map(async (way) => {
      const client = await way.connect(shared.url);
      const subscription = client.newSubscription(channel);
      subscription.subscribe();
      await subscription.ready();
      return { way, subscription };
    }),
  );
  const received = Promise.all(subscriptions.map(({ subscription }) => take(subscription, "publication", 2)));
  for (const { way, subscription } of subscriptions) await subscription.publish(way.data({ from: way.format }));
  for (const [index, publications] of (await received).entries()) {
    const way = subscriptions[index]?.way;
    expect(publications.map(({ data }) => way?.value(data))).toEqual([{ from: "json" }, { from: "protobuf" }]);
  }
});
