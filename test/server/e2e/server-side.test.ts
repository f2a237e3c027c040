/** Subscriptions that the server begins: by tokens and by the API. Also what the API does to connections. */
import { describe, expect, it, vi } from "vitest";
import { INSECURE } from "../support/server.ts";
import { codecs, ways } from "./support/clients.ts";
import { next, take } from "./support/events.ts";
import { freshChannel, SharedServer } from "./support/shared-server.ts";
import { inSeconds, tokenFor } from "./support/tokens.ts";

const shared = new SharedServer();
let users = 0;
const freshUser = (): string => `user-${users++}`;

describe.each(ways)("a client, $name,", (way) => {
  it.each(["channels", "subs"])(
    "is subscribed to the %s of its token, and gets what it missed there",
    async (claim) => {
      const [one, other] = [freshChannel(), freshChannel()];
      const data = { hello: 1 };
      const claims = { channels: { channels: [one, other] }, subs: { subs: { [one]: { data }, [other]: { data } } } };
      const token = tokenFor({ user: freshUser(), ...claims[claim as keyof typeof claims] });
      const client = way.create(shared.url, { token });
      const subscribed = take(client, "subscribed", 2);
      client.connect();
      const contexts = await subscribed;
      expect(contexts.map(({ channel }) => channel).sort()).toEqual([one, other].sort());
      if (claim === "subs") for (const context of contexts) expect(way.value(context.data)).toEqual(data);
      const live = take(client, "publication", 2);
      await shared.publish(one, 1);
      await shared.publish(other, 2);
      // Channels without an order between them.
      const shown = (await live).map((each) => [each.channel, way.value(each.data)]).sort();
      expect(shown).toEqual(
        [
          [one, 1],
          [other, 2],
        ].sort(),
      );
      client.disconnect();
      await shared.publish(one, 3, 4);
      const again = take(client, "subscribed", 2);
      const missed = take(client, "publication", 2);
      client.connect();
      for (const context of await again) expect(context).toMatchObject({ wasRecovering: true, recovered: true });
      expect((await missed).map((each) => [each.channel, way.value(each.data), each.offset])).toEqual([
        [one, 3, 2],
        [one, 4, 3],
      ]);
    },
  );

  it("is subscribed and unsubscribed by the API", async () => {
    const [channel, user] = [freshChannel(), freshUser()];
    await shared.publish(channel, "before");
    const client = await way.connect(shared.url, { token: tokenFor({ user }) });
    const subscribed = next(client, "subscribed");
    await shared.api("subscribe", { user, channel, data: { from: "api" } });
    const { channel: name, data, streamPosition } = await subscribed;
    expect([name, way.value(data), streamPosition?.offset]).toEqual([channel, { from: "api" }, 1]);
    const received = next(client, "publication");
    await shared.publish(channel, "live");
    expect(way.value((await received).data)).toBe("live");
    const unsubscribed = next(client, "unsubscribed");
    await shared.api("unsubscribe", { user, channel });
    expect(await unsubscribed).toEqual({ channel });
    expect((await client.presenceStats(channel)).numClients).toBe(0);
  });

  it("is closed by the API: for good, or to come back", async () => {
    const user = freshUser();
    const client = await way.connect(shared.url, { token: tokenFor({ user }) });
    const lost = next(client, "connecting");
    await shared.api("disconnect", { user, disconnect: { code: 4000, reason: "moved" } });
    expect(await lost).toEqual({ code: 4000, reason: "moved" });
    await client.ready();
    const ended = next(client, "disconnected");
    await shared.api("disconnect", { user });
    expect(await ended).toEqual({ code: 3503, reason: "force disconnect" });
  });
});

describe.each(codecs)("a client, $format,", (way) => {
  it("loses a subscription of its own when the API ends it", async () => {
    const [channel, user] = [freshChannel(), freshUser()];
    const client = await way.connect(shared.url, { token: tokenFor({ user }) });
    const subscription = client.newSubscription(channel);
    subscription.subscribe();
    await subscription.ready();
    const unsubscribed = next(subscription, "unsubscribed");
    await shared.api("unsubscribe", { user, channel });
    expect(await unsubscribed).toMatchObject({ code: 2000, reason: "server unsubscribe" });
  });

  it("stays if the API's list says so, and another one of the user goes", async () => {
    const user = freshUser();
    const token = tokenFor({ user });
    const [kept, ended] = [way.create(shared.url, { token }), await way.connect(shared.url, { token })];
    const connected = next(kept, "connected");
    kept.connect();
    const { client } = await connected;
    const lost = vi.fn();
    kept.on("connecting", lost).on("disconnected", lost);
    const gone = next(ended, "disconnected");
    await shared.api("disconnect", { user, whitelist: [client] });
    await gone;
    await kept.history(freshChannel(), {});
    expect(lost).not.toHaveBeenCalled();
  });

  it("goes on after the API renewed its connection, and ends when the API says that it expired", async () => {
    const user = freshUser();
    const token = tokenFor({ user });
    const client = await way.connect(shared.url, { token });
    await shared.api("refresh", { user, expire_at: inSeconds(100) });
    const lost = next(client, "connecting");
    await shared.api("refresh", { user, expired: true });
    expect(await lost).toEqual({ code: 3005, reason: "connection expired" });
    await client.ready();
  });
});

describe("the API's subscribe", () => {
  const limited = new SharedServer({ ...INSECURE, client: { ...INSECURE.client, channel_limit: 1 } });
  const [way] = codecs;

  const open = async (user: string) => {
    const client = way.create(limited.url, { token: tokenFor({ user }) });
    const connected = next(client, "connected");
    client.connect();
    return { client, id: (await connected).client };
  };

  it("answers error 106 when a client has as many channels as it may, and does nothing", async () => {
    const user = freshUser();
    const { client } = await open(user);
    const [one, other] = [freshChannel(), freshChannel()];
    const subscribed = next(client, "subscribed");
    await limited.api("subscribe", { user, channel: one });
    await subscribed;
    await expect(limited.api("subscribe", { user, channel: other })).rejects.toThrow(
      '{"code":106,"message":"limit exceeded"}',
    );
    const { connections } = await limited.api("connections", { user });
    expect(Object.values(connections as object)).toMatchObject([{ state: { channels: { [one]: {} } } }]);
  });

  it("answers {} when a client is subscribed already, and when a user has no connection", async () => {
    const user = freshUser();
    const { client } = await open(user);
    const channel = freshChannel();
    const subscribed = next(client, "subscribed");
    for (let times = 0; times < 2; times++) expect(await limited.api("subscribe", { user, channel })).toEqual({});
    await subscribed;
    expect(await limited.api("subscribe", { user: freshUser(), channel })).toEqual({});
  });

  it("answers error 102 for an unknown namespace, 104 for a client that is gone, 110 for a time that is over", async () => {
    const { client, id } = await open(freshUser());
    const channel = freshChannel();
    await expect(limited.api("subscribe", { client: id, channel: "nowhere:a" })).rejects.toThrow('"code":102');
    await expect(limited.api("subscribe", { client: id, channel, expire_at: 1 })).rejects.toThrow('"code":110');
    client.disconnect();
    const gone = { client: id, channel };
    await vi.waitFor(() => expect(limited.api("subscribe", gone)).rejects.toThrow('"code":104'), { timeout: 20_000 });
    await expect(limited.api("subscribe", { session: "nobody", channel })).rejects.toThrow('"code":104');
  });
});
