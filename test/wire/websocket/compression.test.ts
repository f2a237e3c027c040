import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { WebSocketServer, WebSocket as WsClient } from "ws";
import { connect, serveUpgrades, upgradeConnection, type WebSocketOptions } from "../../../src/wire/websocket/index.ts";

type Compression = NonNullable<WebSocketOptions["compression"]>;

/** Text that compresses well, with all kinds of characters. */
const sizes = [0, 16, 1024, 4096, 131_072];
const textOf = (length: number): string => "wörld € ".repeat(Math.ceil(length / 8)).slice(0, length);

/** Starts our server, which echoes. Returns its URL and the compression negotiated with the last peer. */
async function startEcho(compression: Compression): Promise<{ url: string; extensions: string[] }> {
  const server = createServer();
  const extensions: string[] = [];
  serveUpgrades(server, (request) => {
    const { response, websocket } = upgradeConnection(request, { compression });
    void websocket.then(async (socket) => {
      extensions.push(socket.extensions);
      for await (const message of socket) await socket.send(message);
    });
    return response;
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`, extensions };
}

const settings: { compression: Compression }[] = [
  { compression: true },
  { compression: { threshold: 0, contextTakeover: true } },
  { compression: { threshold: 0, windowBits: 9 } },
  { compression: { threshold: 0, windowBits: 10, contextTakeover: true, level: 9 } },
];

it.each(settings)("compresses between our two ends: $compression", async ({ compression }) => {
  const { url, extensions } = await startEcho(compression);
  await using socket = await connect(url, { compression, proxy: false });
  expect(socket.extensions).toMatch(/^permessage-deflate/);
  for (const size of sizes) {
    await socket.send(textOf(size));
    await socket.send(Buffer.alloc(size, "binary"));
    expect((await socket.next()).value).toMatchObject({ type: "text", text: textOf(size) });
    const { value } = await socket.next();
    expect(value?.bytes.equals(Buffer.alloc(size, "binary"))).toBe(true);
  }
  expect(extensions).toEqual([socket.extensions]);
});

it.each(settings)("compresses as a client of ws: $compression", async ({ compression }) => {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: { threshold: 0 } });
  onTestFinished(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  server.on("connection", (peer) => {
    peer.on("message", (data, binary) => peer.send(data, { binary }));
  });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await using socket = await connect(`ws://127.0.0.1:${port}`, { compression, proxy: false });
  expect(socket.extensions).toMatch(/^permessage-deflate/);
  for (const size of sizes) {
    await socket.send(textOf(size));
    expect((await socket.next()).value).toMatchObject({ type: "text", text: textOf(size) });
  }
});

it.each(settings)("compresses as a server of ws: $compression", async ({ compression }) => {
  const { url } = await startEcho(compression);
  const client = new WsClient(url, { perMessageDeflate: { threshold: 0 } });
  onTestFinished(() => client.terminate());
  await once(client, "open");
  expect(client.extensions).toBe("permessage-deflate");
  for (const size of sizes) {
    client.send(textOf(size));
    expect(String((await once(client, "message"))[0])).toBe(textOf(size));
  }
});

it("refuses a message that inflates beyond the limit, before the memory is allocated", async () => {
  const { url } = await startEcho(true);
  const client = new WsClient(url, { perMessageDeflate: { threshold: 0 } });
  await once(client, "open");
  client.send(Buffer.alloc(64 * 1024 * 1024));
  const [code] = await once(client, "close");
  expect(code).toBe(1009);
});

it("works without compression when the server has none", async () => {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  onTestFinished(() => server.close());
  server.on("connection", (peer) => peer.send("plain"));
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await using socket = await connect(`ws://127.0.0.1:${port}`, { compression: true, proxy: false });
  expect(socket.extensions).toBe("");
  expect((await socket.next()).value?.text).toBe("plain");
});

it.each([{ level: 0 }, { windowBits: 8 }, { threshold: -1 }, { contextTakeover: 1 }, { zip: true }])(
  "rejects %j with the option's name",
  async (compression) => {
    const [name = ""] = Object.keys(compression);
    const wrong = connect("ws://127.0.0.1:1", { compression: compression as Compression, proxy: false });
    await expect(wrong).rejects.toMatchObject({ code: "ERR_OPTION", message: expect.stringContaining(name) });
  },
);
