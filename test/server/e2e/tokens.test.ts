/** Tokens of connections and subscriptions: good, bad, expired, and renewed. */
import { describe, expect, it, vi } from "vitest";
import { INSECURE } from "../support/server.ts";
import { codecs, type Way, ways } from "./support/clients.ts";
import { next } from "./support/events.ts";
import { freshChannel, SharedServer } from "./support/shared-server.ts";
import { inSeconds, tokenFor } from "./support/tokens.ts";

const shared = new SharedServer({
  ...INSECURE,
  client: { ...INSECURE.client, insecure: false },
  channel: { ...INSECURE.channel, namespaces: [{ name: "open", allow_subscribe_for_client: true }] },
});

describe.each(ways)("a client, $name,", (way) => {
  it("connects and subscribes with tokens that its application gives", async () => {
    const channel = freshChannel();
    const getToken = vi.fn(async () => tokenFor({ user: "ada", exp: inSeconds(60) }));
    const getSubscriptionToken = vi.fn(async () => tokenFor({ user: "ada", channel, exp: inSeconds(60) }));
    const client = await way.connect(shared.url, { getToken });
    const subscription = client.newSubscription(channel, { getToken: getSubscriptionToken });
    subscription.subscribe();
    await subscription.ready();
    expect(getToken).toHaveBeenCalledTimes(1);
    expect(getSubscriptionToken).toHaveBeenCalledWith({ channel });
  });
});

it("clients renew their connections and subscriptions before they expire, and stay", async () => {
  // All at once, because each waits for the expiry of its tokens.
  await Promise.all(ways.map(renewsInTime));
});

async function renewsInTime(way: Way): Promise<void> {
  const channel = freshChannel();
  const getToken = vi.fn(async () => tokenFor({ user: "ada", exp: inSeconds(60) }));
  const getSubscriptionToken = vi.fn(async () => tokenFor({ user: "ada", channel, exp: inSeconds(60) }));
  const client = await way.connect(shared.url, { token: tokenFor({ user: "ada", exp: inSeconds(3) }), getToken });
  const subscription = client.newSubscription(channel, {
    token: tokenFor({ user: "ada", channel, exp: inSeconds(3) }),
    getToken: getSubscriptionToken,
  });
  subscription.subscribe();
  await subscription.ready();
  const lost = vi.fn();
  client.on("connecting", lost);
  subscription.on("subscribing", lost);
  await vi.waitFor(() => expect([getToken, getSubscriptionToken].map(({ mock }) => mock.calls.length)).toEqual([1, 1]));
  const received = next(subscription, "publication");
  await shared.publish(channel, "still here");
  expect(way.value((await received).data)).toBe("still here");
  expect(lost).not.toHaveBeenCalled();
}

describe.each(codecs)("a client, $format,", (way) => {
  const connectAs = (user: string) => way.connect(shared.url, { token: tokenFor({ user }) });

  it("asks for another token when its own has expired", async () => {
    const getToken = vi.fn(async () => tokenFor({ user: "ada" }));
    await way.connect(shared.url, { token: tokenFor({ user: "ada", exp: inSeconds(-10) }), getToken });
    expect(getToken).toHaveBeenCalledTimes(1);
  });

  it("asks for another subscription token when its own has expired", async () => {
    const channel = freshChannel();
    const getToken = vi.fn(async () => tokenFor({ user: "ada", channel }));
    const client = await connectAs("ada");
    const token = tokenFor({ user: "ada", channel, exp: inSeconds(-10) });
    const retry = { minResubscribeDelay: 1, maxResubscribeDelay: 1 };
    const subscription = client.newSubscription(channel, { token, getToken, ...retry });
    subscription.subscribe();
    await subscription.ready();
    expect(getToken).toHaveBeenCalledTimes(1);
  });

  it("tries again after its application failed to give a token", async () => {
    const channel = freshChannel();
    const getToken = vi.fn<() => Promise<string>>();
    getToken.mockRejectedValueOnce(new Error("not now")).mockResolvedValue(tokenFor({ user: "ada" }));
    const client = await way.connect(shared.url, { getToken });
    const getSubscriptionToken = vi.fn<() => Promise<string>>();
    getSubscriptionToken
      .mockRejectedValueOnce(new Error("not now"))
      .mockResolvedValue(tokenFor({ user: "ada", channel }));
    const retry = { minResubscribeDelay: 1, maxResubscribeDelay: 1 };
    const subscription = client.newSubscription(channel, { getToken: getSubscriptionToken, ...retry });
    subscription.subscribe();
    await subscription.ready();
    expect([getToken, getSubscriptionToken].map(({ mock }) => mock.calls.length)).toEqual([2, 2]);
  });

  it("gives up when its application says that it is unauthorized", async () => {
    const getToken = async (): Promise<string> => {
      throw way.unauthorized();
    };
    const stranger = way.create(shared.url, { getToken });
    const disconnected = next(stranger, "disconnected");
    stranger.connect();
    expect(await disconnected).toMatchObject({ code: 1, reason: "unauthorized" });
    const client = await connectAs("ada");
    const subscription = client.newSubscription(freshChannel(), { getToken });
    const unsubscribed = next(subscription, "unsubscribed");
    subscription.subscribe();
    expect(await unsubscribed).toMatchObject({ code: 1, reason: "unauthorized" });
  });

  it.each([
    ["malformed", () => "nonsense", 3500],
    ["signed by somebody else", () => `${tokenFor({ user: "ada" }).slice(0, -6)}AAAAAA`, 3500],
    ["for a subscription", () => tokenFor({ user: "ada", channel: "news" }), 3500],
    ["missing", () => "", 101],
  ])("is refused with a connection token that is %s", async (_, token, code) => {
    const client = way.create(shared.url, { token: token() });
    const disconnected = next(client, "disconnected");
    client.connect();
    expect((await disconnected).code).toBe(code);
  });

  it.each([
    ["malformed", () => "nonsense"],
    ["missing", () => ""],
  ])("is refused by the channel with a subscription token that is %s", async (_, token) => {
    const client = await connectAs("ada");
    const subscription = client.newSubscription(freshChannel(), { token: token() });
    const unsubscribed = next(subscription, "unsubscribed");
    subscription.subscribe();
    expect(await unsubscribed).toMatchObject({ code: 103, reason: "permission denied" });
  });

  it.each([
    ["another channel", { user: "ada", channel: "other" }],
    ["another user", { user: "bob", channel: "mine" }],
  ])("is closed with a subscription token for %s", async (_, claims) => {
    const client = await connectAs("ada");
    const disconnected = next(client, "disconnected");
    client.newSubscription("mine", { token: tokenFor(claims) }).subscribe();
    expect((await disconnected).code).toBe(3500);
  });

  it("gets what its rights allow, and the error of what they don't", async () => {
    const channel = freshChannel("open");
    const client = await connectAs("ada");
    const subscription = client.newSubscription(channel);
    subscription.subscribe();
    await subscription.ready();
    await expect(subscription.publish(way.data(1))).rejects.toMatchObject({ code: 103 });
    await expect(subscription.history({ limit: 1 })).rejects.toMatchObject({ code: 108 });
    await expect(subscription.presence()).rejects.toMatchObject({ code: 108 });
    await expect(client.presence(freshChannel())).rejects.toMatchObject({ code: 103 });
    await expect(client.publish("nowhere:news", way.data(1))).rejects.toMatchObject({ code: 102 });
  });
});

describe("a server with short times of grace", () => {
  const impatient = new SharedServer({
    ...INSECURE,
    client: { ...INSECURE.client, insecure: false, expired_close_delay: "0s", expired_sub_close_delay: "0s" },
  });

  it("ends what nobody renews", async () => {
    await Promise.all(codecs.map(endsInTime));
  });

  async function endsInTime(way: Way): Promise<void> {
    const channel = freshChannel();
    const never = new Promise<string>(() => {});
    const client = await way.connect(impatient.url, { token: tokenFor({ user: "ada" }) });
    const tokens = [Promise.resolve(tokenFor({ user: "ada", channel, exp: inSeconds(3) }))];
    const subscription = client.newSubscription(channel, { getToken: () => tokens.shift() ?? never });
    subscription.subscribe();
    await subscription.ready();
    const expired = next(subscription, "subscribing");
    const other = await way.connect(impatient.url, {
      token: tokenFor({ user: "ada", exp: inSeconds(3) }),
      getToken: () => never,
    });
    const lost = next(other, "connecting");
    // A client that is told to subscribe again asks for a token, and gets none here.
    expect(await expired).toMatchObject({ code: 2501, reason: "subscription expired" });
    expect(await lost).toMatchObject({ code: 3005, reason: "connection expired" });
  }
});
