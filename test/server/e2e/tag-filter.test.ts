/** Clients get only the publications whose tags match a filter. */
import type { FilterNode } from "centrifuge";
import { describe, expect, it } from "vitest";
import { INSECURE } from "../support/server.ts";
import { codecs } from "./support/clients.ts";
import { next } from "./support/events.ts";
import { freshChannel, SharedServer } from "./support/shared-server.ts";

const shared = new SharedServer({
  ...INSECURE,
  channel: { ...INSECURE.channel, namespaces: [{ name: "none" }] },
});
const tagged = [
  { ticker: "BTC", price: "9" },
  { ticker: "ETH", price: "100" },
  { ticker: "SOL" },
  { ticker: "BTCX", price: "20" },
];
const filters: readonly (readonly [string, FilterNode, readonly number[]])[] = [
  ["eq", { key: "ticker", cmp: "eq", val: "BTC" }, [0]],
  ["neq", { key: "ticker", cmp: "neq", val: "BTC" }, [1, 2, 3]],
  ["in", { key: "ticker", cmp: "in", vals: ["ETH", "SOL"] }, [1, 2]],
  ["nin", { key: "ticker", cmp: "nin", vals: ["ETH", "SOL"] }, [0, 3]],
  ["ex", { key: "price", cmp: "ex" }, [0, 1, 3]],
  ["nex", { key: "price", cmp: "nex" }, [2]],
  ["sw", { key: "ticker", cmp: "sw", val: "BTC" }, [0, 3]],
  ["gt", { key: "price", cmp: "gt", val: "10" }, [1, 3]],
  [
    "and, or, not",
    {
      op: "and",
      nodes: [
        {
          op: "or",
          nodes: [
            { key: "ticker", cmp: "sw", val: "B" },
            { key: "ticker", cmp: "eq", val: "SOL" },
          ],
        },
        { op: "not", nodes: [{ key: "price", cmp: "eq", val: "9" }] },
      ],
    },
    [2, 3],
  ],
];

describe.each(codecs)("a client, $format,", (way) => {
  const publishTagged = async (channel: string) => {
    for (const [data, tags] of tagged.entries()) await shared.api("publish", { channel, data, tags });
    // The end, which each filter of this test lets through.
    await shared.api("publish", { channel, data: "end", tags: { end: "yes" } });
  };
  const orEnd = (filter: FilterNode): FilterNode => ({ op: "or", nodes: [filter, { key: "end", cmp: "ex" }] });

  it.each(filters)("gets what matches a filter with %s, live and missed", async (_, filter, expected) => {
    const channel = freshChannel();
    const client = await way.connect(shared.url);
    const subscription = client.newSubscription(channel, { tagsFilter: orEnd(filter) });
    const received: unknown[] = [];
    const ended = () =>
      new Promise<void>((resolve) =>
        subscription.on("publication", ({ data }) => {
          received.push(way.value(data));
          if (received.at(-1) === "end") resolve();
        }),
      );
    const live = ended();
    subscription.subscribe();
    await subscription.ready();
    await publishTagged(channel);
    await live;
    const withoutEnd = () => received.filter((value) => typeof value === "number" && value < tagged.length);
    // "neq" and "nin" hold for the end too, which has no ticker.
    expect(withoutEnd()).toEqual(expected);
    client.disconnect();
    received.length = 0;
    subscription.removeAllListeners("publication");
    const missed = ended();
    await publishTagged(channel);
    const subscribed = next(subscription, "subscribed");
    client.connect();
    expect((await subscribed).recovered).toBe(true);
    await missed;
    expect(withoutEnd()).toEqual(expected);
  });

  it.each([
    ["that is malformed", "", { key: "ticker", cmp: "no such" as "eq" }],
    ["where filters aren't allowed", "none", { key: "ticker", cmp: "ex" as const }],
  ])("is refused with a filter %s", async (_, namespace, tagsFilter) => {
    const client = await way.connect(shared.url);
    const subscription = client.newSubscription(freshChannel(namespace), { tagsFilter });
    const unsubscribed = next(subscription, "unsubscribed");
    subscription.subscribe();
    expect(await unsubscribed).toMatchObject({ code: 107 });
  });
});
