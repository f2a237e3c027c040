import { expect, it, vi } from "vitest";
import { startBoard } from "../../support/board.ts";
import { close, ping, text } from "../../support/frames.ts";
import { RawClient, type RawClientOptions, type RawResponse, upgradeRequest } from "../../support/raw-client.ts";

interface Answer extends RawResponse {
  readonly body: string;
}

/** The whole answer to bytes after which the server must close. */
async function answerTo(port: number, bytes: string): Promise<Answer> {
  const client = await RawClient.connect(port);
  client.write(bytes);
  const response = await client.response();
  return { ...response, body: await client.rest() };
}

const ask = (options: RawClientOptions): Promise<Answer> => answerTo(options.port, upgradeRequest(options));

it("serves a connection from its handshake to its close, with frames right behind the request", async () => {
  const { board, port } = await startBoard();
  const client = await RawClient.open({ port, head: text("early") });
  expect(await client.text()).toBe("early");
  client.write(ping("x"));
  expect(await client.frame()).toMatchObject({ opcode: 0xa, payload: Buffer.from("x") });
  client.write(close(1000, "bye"));
  expect(await client.closeFrame()).toEqual({ code: 1000, reason: "bye" });
  await client.closed();
  await vi.waitFor(() => expect(board.stats()).toMatchObject({ connections: 0, upgrades: { accepted: 1 } }));
});

it.each([
  {
    name: "another version",
    headers: { "Sec-WebSocket-Version": "8" },
    status: 426,
    extra: { "sec-websocket-version": "13" },
  },
  { name: "no version", headers: { "Sec-WebSocket-Version": undefined }, status: 426, extra: {} },
  { name: "no key", headers: { "Sec-WebSocket-Key": undefined }, status: 400, extra: {} },
  { name: "a key that is not 16 bytes", headers: { "Sec-WebSocket-Key": "c2hvcnQ=" }, status: 400, extra: {} },
  { name: "no Host", headers: { Host: undefined }, status: 400, extra: {} },
  { name: "an invalid Host", headers: { Host: "local host" }, status: 400, extra: {} },
  { name: "two Hosts", headers: { Host: "localhost\r\nHost: localhost" }, status: 400, extra: {} },
  { name: "a body", headers: { "Content-Length": "3" }, status: 400, extra: {} },
  { name: "a chunked body", headers: { "Transfer-Encoding": "chunked" }, status: 400, extra: {} },
])("answers $name with $status and a reason", async ({ headers, status, extra }) => {
  const { board, port } = await startBoard();
  const answer = await ask({ port, headers });
  expect(answer.status).toBe(status);
  expect(answer.headers).toMatchObject({ connection: "close", "content-type": "text/plain; charset=utf-8", ...extra });
  expect(answer.body).toMatch(/^[A-Z].*\.\n$/);
  expect(answer.headers["content-length"]).toBe(String(Buffer.byteLength(answer.body)));
  expect(board.stats()).toMatchObject({ connections: 0, upgrades: { accepted: 0, refused: { [status]: 1 } } });
});

it("answers 400 to an upgrade that comes with a body, and opens no connection", async () => {
  const { board, port } = await startBoard();
  const answer = await answerTo(port, `${upgradeRequest({ headers: { "Content-Length": "3" } })}abc`);
  expect(answer.status).toBe(400);
  expect(board.stats().connections).toBe(0);
});

it("answers 405 to methods other than GET", async () => {
  const { port } = await startBoard();
  const answer = await answerTo(port, upgradeRequest().replace("GET", "POST"));
  expect(answer).toMatchObject({ status: 405, headers: { allow: "GET" } });
});

it.each([
  { name: "h2c", request: upgradeRequest({ headers: { Upgrade: "h2c" } }) },
  { name: "another protocol", request: upgradeRequest({ headers: { Upgrade: "foobar, TLS/1.0" } }) },
  {
    name: "h2c by POST",
    request: `${upgradeRequest({ headers: { Upgrade: "h2c", "Content-Length": "2" } })}hi`,
    method: "POST",
  },
  { name: "a WebSocket by HTTP/1.0", request: upgradeRequest().replace("HTTP/1.1", "HTTP/1.0") },
])("answers an offer of $name on its own port as a plain request", async ({ request, method = "GET" }) => {
  const { board, port } = await startBoard({ attach: { path: "/chat" } });
  for (const [path, status] of [
    ["/chat", 426],
    ["/elsewhere", 404],
  ] as const) {
    const client = await RawClient.connect(port);
    client.write(request.replace("GET / ", `${method} ${path} `));
    expect((await client.response()).status).toBe(status);
    client.socket.end();
    await client.closed();
  }
  expect(board.stats()).toMatchObject({ connections: 0, upgrades: { accepted: 0 } });
});

it.each([
  { path: "/chat/blue", status: 426, extra: { upgrade: "websocket", connection: "Upgrade" } },
  { path: "/elsewhere", status: 404, extra: {} },
])("answers a plain GET of $path on its own port with $status", async ({ path, status, extra }) => {
  const { port } = await startBoard({ attach: { path: "/chat/:room" } });
  const client = await RawClient.connect(port);
  client.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  const response = await client.response();
  expect(response.status).toBe(status);
  expect(response.headers).toMatchObject(extra);
});

it.each([
  { origin: "https://evil.example", status: 403 },
  { origin: "http://good.example", status: 403 },
  { origin: "https://good.example:8443", status: 403 },
  { origin: "https://good.example.evil.example", status: 403 },
  { origin: "null", status: 403 },
  { origin: "", status: 403 },
])("answers the foreign origin $origin with $status", async ({ origin, status }) => {
  const { board, port } = await startBoard({ attach: { origins: ["https://good.example"] } });
  expect((await ask({ port, headers: { Origin: origin } })).status).toBe(status);
  expect(board.stats().connections).toBe(0);
});

it.each([{ origin: "https://good.example" }, { origin: "HTTPS://GOOD.example" }, { origin: undefined }])(
  "accepts the origin $origin",
  async ({ origin }) => {
    const { port } = await startBoard({ attach: { origins: ["https://other.example", "https://good.example"] } });
    const client = await RawClient.open({ port, headers: { Origin: origin } });
    client.write(text("in"));
    expect(await client.text()).toBe("in");
  },
);

it("accepts every origin when none are configured", async () => {
  const { port } = await startBoard();
  await RawClient.open({ port, headers: { Origin: "https://anywhere.example" } });
});

it.each([
  { speaks: ["a", "b"], offers: "b, a", chosen: "b" },
  { speaks: ["a", "b"], offers: "c,b", chosen: "b" },
  { speaks: ["a"], offers: "c", chosen: undefined },
  { speaks: ["a"], offers: undefined, chosen: undefined },
  { speaks: undefined, offers: "a", chosen: undefined },
])("chooses $chosen from $offers when it supports $speaks", async ({ speaks, offers, chosen }) => {
  const attach = speaks === undefined ? {} : { protocols: speaks };
  const { port } = await startBoard({ actor: "scripted", attach });
  const client = await RawClient.connect(port);
  client.write(upgradeRequest({ headers: { "Sec-WebSocket-Protocol": offers } }));
  const { status, headers } = await client.response();
  expect({ status, protocol: headers["sec-websocket-protocol"] }).toEqual({ status: 101, protocol: chosen });
  client.write(text('{"do":"who"}'));
  expect(JSON.parse(await client.text()).protocol).toBe(chosen ?? "");
});

it("answers the key with the value of RFC 6455 section 1.3", async () => {
  const { port } = await startBoard();
  const client = await RawClient.connect(port);
  client.write(upgradeRequest({ headers: { "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==" } }));
  const { headers } = await client.response();
  expect(headers["sec-websocket-accept"]).toBe("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
});

it("gives every connection a different id", async () => {
  const { port } = await startBoard({ actor: "scripted", shards: 2 });
  const ids = new Set<string>();
  for (let i = 0; i < 20; i++) {
    const client = await RawClient.open({ port });
    client.write(text('{"do":"who"}'));
    ids.add(JSON.parse(await client.text()).id);
    if (i % 2 === 0) await client.close();
  }
  expect(ids.size).toBe(20);
});

it("rejects when the port is taken, and stays usable", async () => {
  const { board, port } = await startBoard();
  await expect(board.listen({ port, host: "127.0.0.1" })).rejects.toMatchObject({ code: "EADDRINUSE" });
  const second = await board.listen({ port: 0, host: "127.0.0.1" });
  for (const one of [port, second.port]) await RawClient.open({ port: one });
  expect(board.stats().connections).toBe(2);
});
