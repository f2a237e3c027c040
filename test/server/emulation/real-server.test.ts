/** Emulation of the whole server: its own actor, and the official client over SSE and HTTP streams. */
import { Centrifuge, type Options } from "centrifuge";
import { Centrifuge as ProtobufCentrifuge } from "centrifuge/build/protobuf";
import { EventSource } from "eventsource";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { INSECURE, startTestServer } from "../support/server.ts";
import { emulate, LineStream } from "./server.ts";

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

const clients = [
  { name: "JSON over SSE", transport: "sse", Class: Centrifuge, data: (value: unknown): unknown => value },
  { name: "JSON over an HTTP stream", transport: "http_stream", Class: Centrifuge, data: (value: unknown) => value },
  { name: "Protobuf over an HTTP stream", transport: "http_stream", Class: ProtobufCentrifuge, data: bytes },
] as const;

/** Waits for an event of a client or a subscription. */
function event<Context>(
  emitter: { once(name: never, listener: (context: Context) => void): unknown },
  name: string,
): Promise<Context> {
  return new Promise((resolve) => emitter.once(name as never, resolve));
}

describe.each(clients)("the official client, $name", ({ transport, Class, data }) => {
  function create(url: string, more: Partial<Options> = {}): Centrifuge {
    const options: Partial<Options> = {
      emulationEndpoint: `${url}/emulation`,
      eventsource: EventSource,
      fetch,
      readableStream: ReadableStream,
      minReconnectDelay: 1,
      maxReconnectDelay: 1,
      ...more,
    };
    const client = new Class([{ transport, endpoint: `${url}/connection/${transport}` }], options) as Centrifuge;
    onTestFinished(() => client.disconnect());
    return client;
  }

  async function connect(url: string, options: Partial<Options> = {}): Promise<Centrifuge> {
    const client = create(url, options);
    client.connect();
    await client.ready();
    return client;
  }

  it("subscribes, publishes, reads history and presence", async () => {
    const { url } = await startTestServer();
    const [one, other] = [await connect(url), await connect(url)];
    const subscription = one.newSubscription("news");
    const published = event<{ data: unknown }>(subscription, "publication");
    subscription.subscribe();
    await subscription.ready();
    await other.publish("news", data({ text: "ü" }));
    expect((await published).data).toEqual(data({ text: "ü" }));
    expect((await subscription.history({ limit: 10 })).publications.map((one) => one.data)).toEqual([
      data({ text: "ü" }),
    ]);
    expect((await subscription.presenceStats()).numClients).toBe(1);
  });

  it("gets what was published while it was away", async () => {
    const { url, board } = await startTestServer();
    const [one, other] = [await connect(url), await connect(url)];
    const subscription = one.newSubscription("news");
    const received: unknown[] = [];
    subscription.on("publication", ({ data }) => received.push(data));
    subscription.subscribe();
    await subscription.ready();
    await other.publish("news", data(1));
    await vi.waitFor(() => expect(received).toEqual([data(1)]));
    one.disconnect();
    await vi.waitFor(() => expect(board.stats().connections).toBe(1));
    await other.publish("news", data(2));
    await other.publish("news", data(3));
    const subscribed = event<{ recovered: boolean }>(subscription, "subscribed");
    one.connect();
    expect((await subscribed).recovered).toBe(true);
    await vi.waitFor(() => expect(received).toEqual([1, 2, 3].map(data)));
  });

  it("answers pings, and stays", async () => {
    const { url } = await startTestServer({
      ...INSECURE,
      client: { ...INSECURE.client, ping_interval: "1s", pong_timeout: "900ms" },
    });
    const counted = vi.fn(fetch);
    const one = await connect(url, { fetch: counted });
    const lost = vi.fn();
    one.on("connecting", lost);
    const pongs = () => counted.mock.calls.filter(([to]) => String(to).endsWith("/emulation")).length;
    // A client that doesn't answer would be closed after the first ping.
    await vi.waitFor(() => expect(pongs()).toBe(3));
    expect(lost).not.toHaveBeenCalled();
  });

  it("gives up with an invalid token", async () => {
    const { url } = await startTestServer({ ...INSECURE, client: { ...INSECURE.client, insecure: false } });
    const stranger = create(url, { token: "invalid" });
    const refused = event(stranger, "disconnected");
    stranger.connect();
    expect(await refused).toEqual({ code: 3500, reason: "invalid token" });
  });

  it("hears that the server shuts down", async () => {
    const { url, close } = await startTestServer();
    const one = await connect(url);
    const lost = event(one, "connecting");
    await close();
    expect(await lost).toEqual({ code: 3001, reason: "shutdown" });
  });
});

it("closes a client that answers no ping", async () => {
  const client = { ...INSECURE.client, ping_interval: "100ms", pong_timeout: "50ms" };
  const { url } = await startTestServer({ ...INSECURE, client });
  const stream = await LineStream.open(url);
  await stream.connected();
  let line = await stream.next();
  expect(line).toEqual({});
  // On a busy machine a second ping may go before the first one's time is over.
  while (Object.keys(line as object).length === 0) line = await stream.next();
  expect(line).toEqual({ push: { disconnect: { code: 3012, reason: "no pong", reconnect: true } } });
  expect(await stream.raw()).toBeUndefined();
});

it("closes a client whose commands are malformed, also those of /emulation", async () => {
  const { url } = await startTestServer();
  const badRequest = { push: { disconnect: { code: 3501, reason: "bad request" } } };
  const first = await LineStream.open(url, { body: "{" });
  expect(await first.next()).toEqual(badRequest);
  const second = await LineStream.open(url);
  expect(await emulate(url, await second.connected(), { id: 0, rpc: {} })).toBe(204);
  expect(await second.next()).toEqual(badRequest);
});

it("leaves a client alone to whom somebody else sends commands with a wrong session", async () => {
  const { url } = await startTestServer();
  const stream = await LineStream.open(url);
  const { node, session } = await stream.connected();
  await emulate(url, { node, session: "wrong" }, { id: 0, rpc: {} });
  await emulate(url, { node, session }, { id: 2, subscribe: { channel: "news" } });
  expect(await stream.next()).toMatchObject({ id: 2 });
});
