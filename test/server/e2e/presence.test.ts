/** Clients ask who is in a channel, and hear who comes and goes. */
import { describe, expect, it, vi } from "vitest";
import { RawClient } from "../support/raw-client.ts";
import { ways } from "./support/clients.ts";
import { next } from "./support/events.ts";
import { freshChannel, SharedServer } from "./support/shared-server.ts";
import { tokenFor } from "./support/tokens.ts";

const shared = new SharedServer();
const tokenOf = (user: string) => tokenFor({ user, info: { name: user.toUpperCase() } });

it("lets a client in whose info is too large for presence, and shows it without", async () => {
  const channel = freshChannel();
  const client = await RawClient.open(shared.server.ws);
  await client.call({ connect: { token: tokenFor({ user: "ada", info: { text: "x".repeat(5_000) } }) } });
  expect(await client.call({ subscribe: { channel } })).toMatchObject({ subscribe: {} });
  const { presence } = await client.call({ presence: { channel } });
  expect(Object.values(presence.presence)).toEqual([{ user: "ada", client: expect.any(String) }]);
  client.socket.close();
});

describe.each(ways)("a client, $name,", (way) => {
  it("sees who is in a channel, with what tokens say about them", async () => {
    const channel = freshChannel();
    const ada = await way.connect(shared.url, { token: tokenOf("ada") });
    const bob = await way.connect(shared.url, { token: tokenOf("bob") });
    for (const client of [ada, bob]) {
      const subscription = client.newSubscription(channel);
      subscription.subscribe();
      await subscription.ready();
    }
    const { clients } = await ada.presence(channel);
    const shown = Object.values(clients).map(({ user, connInfo }) => [user, way.value(connInfo)]);
    expect(shown.sort()).toEqual([
      ["ada", { name: "ADA" }],
      ["bob", { name: "BOB" }],
    ]);
    for (const [id, info] of Object.entries(clients)) expect(info.client).toBe(id);
    expect(await bob.presenceStats(channel)).toEqual({ numClients: 2, numUsers: 2 });
  });

  it("counts connections and users apart", async () => {
    const channel = freshChannel();
    const clients = await Promise.all([1, 2].map(() => way.connect(shared.url, { token: tokenOf("ada") })));
    for (const client of clients) {
      const subscription = client.newSubscription(channel);
      subscription.subscribe();
      await subscription.ready();
    }
    expect(await clients[0]?.presenceStats(channel)).toEqual({ numClients: 2, numUsers: 1 });
  });

  it("hears of its own join, whoever subscribed it", async () => {
    const [own, byToken, byApi] = [freshChannel(), freshChannel(), freshChannel()];
    const user = freshChannel();
    const client = way.create(shared.url, { token: tokenFor({ user, subs: { [byToken]: { info: { seat: 1 } } } }) });
    const [connected, first] = [next(client, "connected"), next(client, "join")];
    client.connect();
    const { client: id } = await connected;
    const { channel, info } = await first;
    expect([channel, info.client, info.user, way.value(info.chanInfo)]).toEqual([byToken, id, user, { seat: 1 }]);
    const second = next(client, "join");
    await shared.api("subscribe", { user, channel: byApi });
    expect(await second).toMatchObject({ channel: byApi, info: { client: id, user } });
    const subscription = client.newSubscription(own);
    const third = next(subscription, "join");
    subscription.subscribe();
    expect((await third).info).toMatchObject({ client: id, user });
  });

  it("hears of joins and leaves, also of one that vanishes", async () => {
    const channel = freshChannel();
    const watcher = await way.connect(shared.url);
    const watched = watcher.newSubscription(channel, { joinLeave: true });
    const own = next(watched, "join");
    watched.subscribe();
    await own;
    const joined = next(watched, "join");
    const ada = await way.connect(shared.url, { token: tokenOf("ada") });
    const subscription = ada.newSubscription(channel);
    subscription.subscribe();
    const { info } = await joined;
    expect([info.user, way.value(info.connInfo)]).toEqual(["ada", { name: "ADA" }]);
    const left = next(watched, "leave");
    subscription.unsubscribe();
    expect((await left).info.client).toBe(info.client);
    subscription.subscribe();
    await subscription.ready();
    const gone = next(watched, "leave");
    ada.disconnect();
    expect((await gone).info.user).toBe("ada");
    await vi.waitFor(async () => expect((await watched.presenceStats()).numClients).toBe(1));
  });
});
