import { once } from "node:events";
import { connect } from "node:net";
import { expect, it, vi } from "vitest";
import { protobufCodec } from "../../../src/server/protocol/protobuf/codec.ts";
import { CONNECT, emulate, LineStream, rpc, startServer } from "./server.ts";

it("connects over a stream of JSON lines, and takes commands over /emulation", async () => {
  const { url, emulation } = await startServer();
  const stream = await LineStream.open(url);
  expect(stream.response.status).toBe(200);
  expect(Object.fromEntries(stream.response.headers)).toMatchObject({
    "content-type": "application/x-ndjson; charset=utf-8",
    "cache-control": "private, no-store, no-transform",
    "x-accel-buffering": "no",
  });
  const connected = await stream.connected();
  expect(await emulate(url, connected, rpc(2, "echo", "one"), rpc(3, "echo", "zwei ü 😀"))).toBe(204);
  expect(await stream.next()).toEqual({ id: 2, rpc: { data: "one" } });
  expect(await stream.next()).toEqual({ id: 3, rpc: { data: "zwei ü 😀" } });
  expect(emulation.stats()).toEqual({
    streams: 1,
    pendingRequests: 0,
    streamsOpened: 1,
    streamsRefused: 0,
    commandsDelivered: 1,
    commandsRefused: 0,
  });
});

it("takes several commands with the request itself, in order", async () => {
  const { url } = await startServer();
  const stream = await LineStream.open(url, { body: `${CONNECT}\n${JSON.stringify(rpc(2, "echo", "early"))}\n` });
  expect(await stream.next()).toMatchObject({ id: 1 });
  expect(await stream.next()).toEqual({ id: 2, rpc: { data: "early" } });
});

it("gives the actor the client's request, and a session that no client can give", async () => {
  const { url, board, port } = await startServer();
  const stream = await LineStream.open(`${url}`, {
    headers: { Origin: "https://page.example", Cookie: "a=1", "Sec-WebSocket-Extensions": "permessage-deflate" },
  });
  const { data } = await stream.connected();
  expect(data).toEqual({
    session: { transport: "http_stream" },
    protocol: "",
    url: "/connection/http_stream",
    headers: { origin: "https://page.example", cookie: "a=1", host: `127.0.0.1:${port}` },
    remoteAddress: "127.0.0.1",
    clientAddress: "127.0.0.1",
  });
  const { connections } = await board.connections();
  expect(connections).toHaveLength(1);
});

it("finds the client behind a trusted proxy, and counts connections by it", async () => {
  const { url } = await startServer({ board: { trustedProxies: ["127.0.0.1"], maxConnectionsPerAddress: 1 } });
  const from = (address: string) => LineStream.open(url, { headers: { "X-Forwarded-For": address } });
  const first = await from("192.0.2.1");
  expect((await first.connected()).data).toMatchObject({ remoteAddress: "127.0.0.1", clientAddress: "192.0.2.1" });
  expect((await from("192.0.2.1")).response.status).toBe(429);
  expect((await from("192.0.2.2")).response.status).toBe(200);
});

it("passes Protobuf on as it is, in both directions", async () => {
  const { url } = await startServer();
  const frame = (...bytes: number[]) => Buffer.from([bytes.length, ...bytes]);
  // Command { id: 1, connect: {} }
  const headers = { "Content-Type": "application/octet-stream" };
  const response = await fetch(`${url}/connection/http_stream`, {
    method: "POST",
    body: frame(0x08, 1, 0x22, 0),
    headers,
  });
  expect(response.headers.get("content-type")).toBe("application/octet-stream");
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const first = Buffer.from((await reader.read()).value as Uint8Array);
  const text = first.toString("latin1");
  const session = /[0-9a-f]{8}-[0-9a-f-]{27}/.exec(text)?.[0] as string;
  const node = /\d+-[\w-]+(?=[^\w-]*$|.)/.exec(text.slice(4))?.[0] as string;
  expect(text).toContain("centrifuge-protobuf");
  // EmulationRequest { node, session, data: Command { id: 2, rpc: { data: ff 00, method: "echo" } } }
  const rpcBody = [0x0a, 2, 0xff, 0x00, 0x12, 4, ...Buffer.from("echo")];
  const command = frame(0x08, 2, 0x6a, rpcBody.length, ...rpcBody);
  const field = (tag: number, value: Buffer) => Buffer.concat([Buffer.from([tag, value.length]), value]);
  const body = Buffer.concat([field(0x0a, Buffer.from(node)), field(0x12, Buffer.from(session)), field(0x1a, command)]);
  const { status } = await fetch(`${url}/emulation`, { method: "POST", body, headers });
  expect(status).toBe(204);
  const reply = { id: 2, kind: "rpc", result: { data: Buffer.from([0xff, 0x00]) } } as const;
  expect(Buffer.from((await reader.read()).value as Uint8Array)).toEqual(protobufCodec.encodeReply(reply));
  await reader.cancel();
});

it.each([
  [3501, "bad request", { code: 3501, reason: "bad request" }],
  [3005, "connection expired", { code: 3005, reason: "connection expired", reconnect: true }],
  [4000, 'with "quotes"\u2028', { code: 4000, reason: 'with "quotes"\u2028', reconnect: true }],
  [4999, "for good", { code: 4999, reason: "for good" }],
])("tells a close with %i as a push, and ends the response", async (code, reason, disconnect) => {
  const { url, emulation } = await startServer();
  const stream = await LineStream.open(url);
  await emulate(url, await stream.connected(), rpc(2, "close", { code, reason }));
  expect(await stream.next()).toEqual({ push: { disconnect } });
  expect(await stream.raw()).toBeUndefined();
  await vi.waitFor(() => expect(emulation.stats().streams).toBe(0));
});

it("ends the response alone after a close whose code isn't the protocol's", async () => {
  const { url } = await startServer();
  const stream = await LineStream.open(url);
  await emulate(url, await stream.connected(), rpc(2, "close", { code: 1011, reason: "failed" }));
  expect(await stream.raw()).toBeUndefined();
});

it("ends the response when the shard dies", async () => {
  const { url } = await startServer();
  const stream = await LineStream.open(url);
  await emulate(url, await stream.connected(), rpc(2, "exit"));
  expect(await stream.raw()).toBeUndefined();
});

it("ends the connection when the client leaves", async () => {
  const { url, board, emulation } = await startServer();
  const stream = await LineStream.open(url);
  const connected = await stream.connected();
  expect(board.stats().connections).toBe(1);
  stream.leave();
  await vi.waitFor(() => expect(board.stats().connections).toBe(0));
  await vi.waitFor(() => expect(emulation.stats().streams).toBe(0));
  expect(await emulate(url, connected, rpc(2, "echo"))).toBe(404);
});

it("ends the connection when the client leaves before it is open", async () => {
  const { port, board, emulation } = await startServer();
  const socket = connect(port, "127.0.0.1");
  const head = `POST /connection/http_stream HTTP/1.1\r\nHost: a\r\nContent-Length: ${CONNECT.length}\r\n\r\n`;
  socket.write(`${head}${CONNECT}`);
  socket.on("error", () => {});
  await vi.waitFor(() => expect(emulation.stats().streamsOpened + emulation.stats().pendingRequests).toBe(1));
  socket.resetAndDestroy();
  await vi.waitFor(() => expect(board.stats().connections).toBe(0));
  await vi.waitFor(() => expect(emulation.stats()).toMatchObject({ streams: 0, pendingRequests: 0 }));
});

it("holds few bytes for a client that doesn't read, and lets the board's policy close it", async () => {
  const { url, port, board, emulation } = await startServer({
    board: { closeTimeoutMs: 100 },
    emulation: { closeTimeoutMs: 100 },
  });
  const socket = connect(port, "127.0.0.1");
  const pour = JSON.stringify(rpc(2, "pour", { count: 640, bytes: 100_000 }));
  const body = `${CONNECT}\n${pour}`;
  socket.write(`POST /connection/http_stream HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  socket.on("error", () => {});
  socket.pause();
  await vi.waitFor(() => expect(emulation.stats().streamsOpened).toBe(1));
  // The actor sent 64 MB in one turn, of which 1 MiB may wait in the shard.
  await vi.waitFor(() => expect(emulation.stats().streams).toBe(0));
  await vi.waitFor(() => expect(board.stats().connections).toBe(0));
  const closed = once(socket, "close");
  let received = 0;
  socket.on("data", (chunk) => {
    received += chunk.length;
  });
  socket.resume();
  await closed;
  expect(received).toBeLessThan(32_000_000);
  // The server lives on.
  expect(await (await LineStream.open(url)).next()).toMatchObject({ id: 1 });
});

it("gives a client that reads slowly everything, in order", async () => {
  const { url } = await startServer({ board: { maxBufferedBytes: 64 * 1024 * 1024 } });
  const stream = await LineStream.open(url);
  const connected = await stream.connected();
  await emulate(url, connected, rpc(2, "pour", { count: 200, bytes: 50_000 }), rpc(3, "echo", "after"));
  for (let i = 0; i < 200; i++) expect((await stream.raw())?.length).toBe(50_002);
  expect(await stream.next()).toEqual({ id: 3, rpc: { data: "after" } });
});

it("refuses with the board's own status", async () => {
  const { url, board, emulation } = await startServer({ board: { maxConnections: 1 } });
  const first = await LineStream.open(url);
  await first.connected();
  const second = await LineStream.open(url);
  expect(second.response.status).toBe(503);
  expect(second.response.headers.get("retry-after")).toBe("5");
  expect(await second.raw()).toBe("Service Unavailable");
  await board.close({ timeoutMs: 0 });
  expect((await LineStream.open(url)).response.status).toBe(503);
  expect(emulation.stats()).toMatchObject({ streamsOpened: 1, streamsRefused: 2 });
});
