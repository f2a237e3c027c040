/** Commands as the official client never sends them: many in one message, at the wrong time, and what isn't there. */
import { describe, expect, it } from "vitest";
import { INSECURE } from "../support/server.ts";
import { RawSocket } from "./support/raw-socket.ts";
import { freshChannel, SharedServer } from "./support/shared-server.ts";

const shared = new SharedServer({
  ...INSECURE,
  client: { ...INSECURE.client, channel_limit: 2, ping_interval: "1s", pong_timeout: "500ms", stale_close_delay: "1s" },
  channel: { ...INSECURE.channel, namespaces: [{ name: "plain" }] },
});
const badRequest = { code: 3501, reason: "bad request" };
const error = (id: number, code: number) => ({ id, error: { code, message: expect.stringMatching(/./) } });

/** Replies to commands of different channels come in any order. */
const byId = (replies: readonly unknown[]) =>
  replies.toSorted((one, other) => (one as { id: number }).id - (other as { id: number }).id);

it("answers all commands of one message, those of one channel in their order", async () => {
  const channel = freshChannel("plain");
  const socket = await RawSocket.open(shared.url);
  socket.send(
    { id: 1, connect: {} },
    { id: 2, subscribe: { channel } },
    { id: 3, publish: { channel, data: { a: 1 } } },
    { id: 4, unsubscribe: { channel } },
    { id: 5, unsubscribe: { channel: "never" } },
  );
  const [connected, ...rest] = await socket.take(6);
  expect(connected).toMatchObject({ id: 1, connect: { ping: 1, pong: true } });
  expect(rest).toContainEqual({ push: { channel, pub: expect.objectContaining({ data: { a: 1 } }) } });
  expect(rest).toContainEqual({ id: 5, unsubscribe: {} });
  const answers = rest.filter((reply) => Object.hasOwn(reply as object, "id") && (reply as { id: number }).id !== 5);
  expect(answers).toEqual([
    { id: 2, subscribe: {} },
    { id: 3, publish: {} },
    { id: 4, unsubscribe: {} },
  ]);
});

it("sends the answer to a subscription before the first publication", async () => {
  const channel = freshChannel("plain");
  const socket = await RawSocket.connect(shared.url);
  socket.send({ id: 2, subscribe: { channel } }, { id: 3, publish: { channel, data: 1 } });
  const [first, ...others] = await socket.take(3);
  expect(first).toEqual({ id: 2, subscribe: {} });
  expect(others).toContainEqual({ push: { channel, pub: expect.objectContaining({ data: 1 }) } });
});

describe("an error", () => {
  it.each([
    [102, { subscribe: { channel: "nowhere:news" } }],
    [107, { publish: { channel: "news" } }],
    [108, { history: { channel: "plain:news", limit: 1 } }],
    [108, { presence: { channel: "plain:news" } }],
    [108, { presence_stats: { channel: "plain:news" } }],
    [108, { rpc: { method: "nothing" } }],
    [108, { subscribe: { channel: "maps", type: 1 } }],
    [108, { subscribe: { channel: "polls", type: 2 } }],
    [108, { publish: { channel: "maps", data: 1, type: 1 } }],
    [108, { sub_refresh: { channel: "polls", token: "x", type: 2 } }],
    [103, { sub_refresh: { channel: "never", token: "x" } }],
  ])("has the code %i for %j, and the client stays", async (code, command) => {
    const socket = await RawSocket.connect(shared.url);
    socket.send({ id: 2, ...command }, { id: 3, unsubscribe: { channel: "news" } });
    expect(byId(await socket.take(2))).toEqual([error(2, code), { id: 3, unsubscribe: {} }]);
  });

  it("has the code 105 for a second subscription, and 106 for one too many", async () => {
    const [one, other, third] = [freshChannel("plain"), freshChannel("plain"), freshChannel("plain")];
    const socket = await RawSocket.connect(shared.url);
    for (const [id, channel] of [one, one, other, third].entries()) socket.send({ id: id + 2, subscribe: { channel } });
    expect(byId(await socket.take(4))).toEqual([
      { id: 2, subscribe: {} },
      error(3, 105),
      { id: 4, subscribe: {} },
      error(5, 106),
    ]);
  });
});

describe("a client is closed", () => {
  it.each([
    ["a command before connect", (socket: RawSocket) => socket.send({ id: 1, subscribe: { channel: "news" } })],
    ["a second connect", (socket: RawSocket) => socket.send({ id: 1, connect: {} }, { id: 2, connect: {} })],
    ["a command without an id", (socket: RawSocket) => socket.send({ id: 1, connect: {} }, { rpc: { method: "m" } })],
    ["a message that isn't JSON", (socket: RawSocket) => socket.sendText("{")],
    ["a pong that answers no ping", (socket: RawSocket) => socket.send({ id: 1, connect: {} }, {})],
    ["the command ping", (socket: RawSocket) => socket.send({ id: 1, connect: {} }, { id: 2, ping: {} })],
  ])("with 3501 after %s", async (_, send) => {
    const socket = await RawSocket.open(shared.url);
    send(socket);
    expect(await socket.closed()).toEqual(badRequest);
  });

  it("with 3508 after a message to the application, which takes none", async () => {
    const socket = await RawSocket.connect(shared.url);
    socket.send({ send: { data: 1 } });
    expect(await socket.closed()).toEqual({ code: 3508, reason: "not available" });
  });

  it("with 3502 if it doesn't connect in time", async () => {
    const socket = await RawSocket.open(shared.url);
    expect(await socket.closed()).toEqual({ code: 3502, reason: "stale" });
  });

  it("with 3012 if it doesn't answer a ping, and not if it does", async () => {
    const [silent, answering] = [await RawSocket.connect(shared.url), await RawSocket.connect(shared.url)];
    expect(await answering.next()).toEqual({});
    answering.send({});
    expect(await silent.next()).toEqual({});
    expect(await silent.closed()).toEqual({ code: 3012, reason: "no pong" });
    // The second ping comes to a client that answered the first one.
    expect(await answering.next()).toEqual({});
  });
});
