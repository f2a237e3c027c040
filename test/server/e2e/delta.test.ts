/** Clients get Fossil deltas, and see whole payloads. */
import { describe, expect, it } from "vitest";
import { INSECURE } from "../support/server.ts";
import { ways } from "./support/clients.ts";
import { next, take } from "./support/events.ts";
import { freshChannel, SharedServer } from "./support/shared-server.ts";

const namespace = { history_size: 100, history_ttl: "300s", force_recovery: true };
const shared = new SharedServer({
  ...INSECURE,
  channel: {
    ...INSECURE.channel,
    namespaces: [
      { name: "delta", ...namespace, allowed_delta_types: ["fossil"], delta_publish: true },
      { name: "none", ...namespace },
    ],
  },
});
const padding = "similar ".repeat(60);
const similar = (index: number) => ({ index, text: "ü", padding });

describe.each(ways)("a client, $name,", (way) => {
  async function subscribe(namespace: string) {
    const channel = freshChannel(namespace);
    const client = await way.connect(shared.url);
    const subscription = client.newSubscription(channel, { delta: "fossil" });
    subscription.subscribe();
    await subscription.ready();
    return { channel, client, subscription };
  }

  it("gets one full payload and then deltas", async () => {
    const { channel, subscription } = await subscribe("delta");
    const received = take(subscription, "publication", 10);
    const values = Array.from({ length: 10 }, (_, index) => similar(index));
    await shared.publish(channel, ...values);
    expect((await received).map(({ data }) => way.value(data))).toEqual(values);
    const { numFullPayloads, numDeltaPayloads, bytesReceived, bytesDecoded } = subscription.deltaStats();
    expect([numFullPayloads, numDeltaPayloads]).toEqual([1, 9]);
    expect(bytesReceived).toBeLessThan(bytesDecoded / 2);
  });

  it("gets what isn't stored in full, and the next one too, and keeps its position", async () => {
    const { channel, subscription } = await subscribe("delta");
    const received = take(subscription, "publication", 5);
    const publish = (index: number, skip_history: boolean) =>
      shared.api("publish", { channel, data: similar(index), skip_history });
    for (const [index, skips] of [false, true, false, false, true].entries()) await publish(index, skips);
    const publications = await received;
    expect(publications.map(({ data }) => way.value(data))).toEqual([0, 1, 2, 3, 4].map(similar));
    expect(publications.map(({ offset }) => offset ?? 0)).toEqual([1, 0, 2, 3, 0]);
    expect(subscription.deltaStats().numDeltaPayloads).toBe(1);
    expect(subscription.state).toBe("subscribed");
    expect(await shared.api("history", { channel, limit: -1 })).toMatchObject({ offset: 3 });
  });

  it("gets payloads in full where they have nothing in common", async () => {
    const { channel, subscription } = await subscribe("delta");
    const received = take(subscription, "publication", 3);
    await shared.publish(channel, 1, "two", [3]);
    expect((await received).map(({ data }) => way.value(data))).toEqual([1, "two", [3]]);
    expect(subscription.deltaStats().numDeltaPayloads).toBe(0);
  });

  it.each(["the connection", "the subscription"])("goes on with deltas after it was without %s", async (part) => {
    const { channel, client, subscription } = await subscribe("delta");
    const first = next(subscription, "publication");
    await shared.publish(channel, similar(1));
    await first;
    if (part === "the connection") client.disconnect();
    else subscription.unsubscribe();
    await shared.publish(channel, similar(2), similar(3));
    const rest = take(subscription, "publication", 3);
    const subscribed = next(subscription, "subscribed");
    if (part === "the connection") client.connect();
    else subscription.subscribe();
    expect((await subscribed).recovered).toBe(true);
    await shared.publish(channel, similar(4));
    expect((await rest).map(({ data }) => way.value(data))).toEqual([2, 3, 4].map(similar));
    expect(subscription.deltaStats().numDeltaPayloads).toBeGreaterThan(0);
  });

  it("gets full payloads where deltas aren't allowed", async () => {
    const { channel, subscription } = await subscribe("none");
    const received = take(subscription, "publication", 2);
    await shared.publish(channel, similar(1), similar(2));
    expect((await received).map(({ data }) => way.value(data))).toEqual([similar(1), similar(2)]);
  });
});
