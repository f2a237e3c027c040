/** Clients read the history of a channel. */
import { describe, expect, it } from "vitest";
import { INSECURE } from "../support/server.ts";
import { type Way, ways } from "./support/clients.ts";
import { freshChannel, SharedServer } from "./support/shared-server.ts";

const shared = new SharedServer({
  ...INSECURE,
  client: { ...INSECURE.client, history_max_publication_limit: 5 },
  channel: { ...INSECURE.channel, namespaces: [{ name: "plain" }] },
});

describe.each(ways)("a client, $name,", (way) => {
  async function start(count: number) {
    const channel = freshChannel();
    for (let value = 1; value <= count; value++) await shared.publish(channel, value);
    return { channel, client: await way.connect(shared.url) };
  }

  const values = (by: Way, { publications }: { publications: { data: unknown }[] }) =>
    publications.map(({ data }) => by.value(data));

  it("reads the position alone without a limit", async () => {
    const { channel, client } = await start(3);
    expect(await client.history(channel, {})).toMatchObject({
      publications: [],
      offset: 3,
      epoch: expect.stringMatching(/./),
    });
  });

  it("reads from the beginning, and from the end", async () => {
    const { channel, client } = await start(4);
    expect(values(way, await client.history(channel, { limit: 3 }))).toEqual([1, 2, 3]);
    expect(values(way, await client.history(channel, { limit: 3, reverse: true }))).toEqual([4, 3, 2]);
  });

  it("reads no more than the limit of the server", async () => {
    const { channel, client } = await start(7);
    expect(values(way, await client.history(channel, { limit: -1 }))).toEqual([1, 2, 3, 4, 5]);
    expect(values(way, await client.history(channel, { limit: 100 }))).toEqual([1, 2, 3, 4, 5]);
  });

  it("gets error 107 for a limit below -1", async () => {
    const { channel, client } = await start(1);
    for (const limit of [-2, -(2 ** 31)]) {
      await expect(client.history(channel, { limit })).rejects.toMatchObject({ code: 107 });
      await expect(shared.api("history", { channel, limit })).rejects.toThrow('"code":107');
    }
  });

  it("reads on from a position, page by page, in both directions", async () => {
    const { channel, client } = await start(7);
    const { epoch } = await client.history(channel, {});
    for (const reverse of [false, true]) {
      const read: unknown[] = [];
      for (let since = { epoch, offset: reverse ? 8 : 0 }; ; ) {
        const page = await client.history(channel, { since, limit: 3, reverse });
        if (page.publications.length === 0) break;
        read.push(...values(way, page));
        since = { epoch, offset: page.publications.at(-1)?.offset ?? 0 };
      }
      expect(read).toEqual(reverse ? [7, 6, 5, 4, 3, 2, 1] : [1, 2, 3, 4, 5, 6, 7]);
    }
  });

  it("gets error 112 for a position of another epoch, and 108 for a channel without history", async () => {
    const { channel, client } = await start(1);
    const since = { epoch: "foreign", offset: 0 };
    await expect(client.history(channel, { since, limit: 1 })).rejects.toMatchObject({ code: 112 });
    await expect(client.history(freshChannel("plain"), { limit: 1 })).rejects.toMatchObject({ code: 108 });
  });
});
