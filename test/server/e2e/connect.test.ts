/** Clients connect, leave, and come back after their connection was cut. */
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { codecs, ways } from "./support/clients.ts";
import { next } from "./support/events.ts";
import { freshChannel, SharedServer } from "./support/shared-server.ts";

const shared = new SharedServer();

describe.each(ways)("a client, $name,", (way) => {
  const connections = () => shared.server.board.stats().connections;

  it("connects and disconnects", async () => {
    const client = way.create(shared.url, { name: "page", version: "1.2" });
    const connected = next(client, "connected");
    client.connect();
    const uuid = expect.stringMatching(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
    expect(await connected).toMatchObject({ transport: way.transport, client: uuid });
    const disconnected = next(client, "disconnected");
    client.disconnect();
    expect(await disconnected).toEqual({ code: 0, reason: "disconnect called" });
    await vi.waitFor(() => expect(connections()).toBe(0));
  });

  it("leaves nothing behind after a loop of connects and disconnects", async () => {
    const client = way.create(shared.url);
    for (let round = 0; round < 6; round++) {
      client.connect();
      if (round % 2 === 0) await client.ready();
      client.disconnect();
    }
    await vi.waitFor(() => expect(connections()).toBe(0));
    client.connect();
    await client.ready();
    expect(connections()).toBe(1);
  });

  it("sends what was asked for before it connected", async () => {
    const channel = freshChannel();
    const client = way.create(shared.url);
    const published = client.publish(channel, way.data({ a: 1 }));
    const history = client.history(channel, { limit: 1 });
    client.connect();
    await published;
    expect((await history).publications.map(({ data }) => way.value(data))).toEqual([{ a: 1 }]);
  });

  it("comes back with another id after its connection was cut", async () => {
    const proxy = await TcpProxy.start(shared.server.port);
    const client = way.create(`http://127.0.0.1:${proxy.port}`);
    const first = next(client, "connected");
    client.connect();
    const { client: before } = await first;
    const [lost, second] = [next(client, "connecting"), next(client, "connected")];
    proxy.cut();
    expect((await lost).code).toBe(1);
    proxy.mend();
    expect((await second).client).not.toBe(before);
  });
});

describe.each(codecs)("a client, $format,", (way) => {
  it("reconnects when the network is back, and not if it was disconnected", async () => {
    const networkEventTarget = new EventTarget();
    const client = await way.connect(shared.url, { networkEventTarget });
    const lost = next(client, "connecting");
    networkEventTarget.dispatchEvent(new Event("offline"));
    await lost;
    const back = next(client, "connected");
    networkEventTarget.dispatchEvent(new Event("online"));
    await back;
    client.disconnect();
    networkEventTarget.dispatchEvent(new Event("online"));
    expect(client.state).toBe("disconnected");
  });

  it("tries again after its application had no data for the connection", async () => {
    const getData = vi.fn<() => Promise<unknown>>();
    getData.mockRejectedValueOnce(new Error("not now")).mockResolvedValue(way.data({ page: 1 }));
    const client = way.create(shared.url, { getData });
    client.connect();
    await client.ready();
    expect(getData).toHaveBeenCalledTimes(2);
  });

  it("sends a batch of commands in one message, and gets each answer", async () => {
    const { WebSocket } = await import("ws");
    const send = vi.spyOn(WebSocket.prototype, "send");
    onTestFinished(() => send.mockRestore());
    const client = await way.connect(shared.url);
    const channels = Array.from({ length: 10 }, () => freshChannel());
    const before = send.mock.calls.length;
    client.startBatching();
    const published = channels.map((channel, index) => client.publish(channel, way.data(index)));
    const subscriptions = channels.map((channel) => client.newSubscription(channel));
    for (const subscription of subscriptions) subscription.subscribe();
    const histories = channels.map((channel) => client.history(channel, { limit: 1 }));
    client.stopBatching();
    await Promise.all([...published, ...subscriptions.map((subscription) => subscription.ready())]);
    const read = (await Promise.all(histories)).map(({ publications }) => way.value(publications[0]?.data));
    expect(read).toEqual(channels.map((_, index) => index));
    expect(send.mock.calls.length).toBe(before + 1);
  });
});
