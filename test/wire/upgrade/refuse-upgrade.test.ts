import { once } from "node:events";
import { expect, it } from "vitest";
import { refuseUpgrade } from "../../../src/wire/upgrade/response.ts";
import { connectPair } from "./loopback.ts";

it.each([
  [400, "400 Bad Request"],
  [403, "403 Forbidden"],
  [404, "404 Not Found"],
  [426, "426 Upgrade Required"],
  [503, "503 Service Unavailable"],
  [302, "302 Found"],
  [300, "300 Multiple Choices"],
  [599, "599 Unknown"],
])("answers %i with its phrase, and closes", async (status, line) => {
  const { client, server } = await connectPair();
  refuseUpgrade(server, { status });
  const answer = await client.rest();
  const body = `${status === 599 ? "599" : line.slice(4)}\n`;
  const [head = "", received] = answer.split("\r\n\r\n");
  expect(head.split("\r\n")).toEqual([
    `HTTP/1.1 ${line}`,
    "content-type: text/plain; charset=utf-8",
    `content-length: ${body.length}`,
    "connection: close",
  ]);
  expect(received).toBe(body);
});

it("sends the given headers and body, and counts the body in bytes", async () => {
  const { client, server } = await connectPair();
  refuseUpgrade(server, {
    status: 401,
    headers: { "WWW-Authenticate": "Bearer", "Content-Type": "application/json" },
    body: '{"error":"für €"}',
  });
  const { status, headers } = await client.response();
  expect(status).toBe(401);
  expect(headers).toMatchObject({
    "www-authenticate": "Bearer",
    "content-type": "application/json",
    "content-length": "20",
  });
  expect(await client.rest()).toBe('{"error":"für €"}');
});

it.each([undefined, "not sent"])("answers 304 without a body (%s)", async (body) => {
  const { client, server } = await connectPair();
  refuseUpgrade(server, { status: 304, headers: { ETag: '"a"', "Content-Length": 9 }, ...(body && { body }) });
  expect(await client.rest()).toBe('HTTP/1.1 304 Not Modified\r\netag: "a"\r\nconnection: close\r\n\r\n');
});

it("sends an array as several lines", async () => {
  const { client, server } = await connectPair();
  refuseUpgrade(server, { status: 401, headers: { "Set-Cookie": ["a=1", "b=2"], "Retry-After": 5 } });
  const [head = ""] = (await client.rest()).split("\r\n\r\n");
  expect(head.split("\r\n")).toEqual(expect.arrayContaining(["set-cookie: a=1", "set-cookie: b=2", "retry-after: 5"]));
});

it("can have an empty body", async () => {
  const { client, server } = await connectPair();
  refuseUpgrade(server, { status: 404, body: "" });
  expect((await client.response()).headers["content-length"]).toBe("0");
  expect(await client.rest()).toBe("");
});

it("sends no header that breaks the framing of the answer", async () => {
  const { client, server } = await connectPair();
  refuseUpgrade(server, {
    status: 400,
    headers: { "Content-Length": 9999, CONNECTION: "keep-alive", "Transfer-Encoding": "chunked" },
    body: "no",
  });
  const answer = await client.rest();
  expect(answer.match(/content-length: .*/gi)).toEqual(["content-length: 2"]);
  expect(answer.match(/connection: .*/gi)).toEqual(["connection: close"]);
  expect(answer).not.toMatch(/transfer-encoding/i);
});

it.each([0, 100, 101, 200, 204, 299, 600, 400.5, Number.NaN])(
  "throws for the status %d, and writes nothing",
  async (status) => {
    const { client, server } = await connectPair();
    expect(() => refuseUpgrade(server, { status })).toThrow(RangeError);
    server.end();
    expect(await client.rest()).toBe("");
  },
);

it.each([
  ["a line end in a value", { "X-Room": "a\r\nSet-Cookie: b=c" }],
  ["a character beyond latin1 in a value", { "X-Room": "€" }],
  ["a space in a name", { "X Room": "a" }],
])("throws for %s, and writes nothing", async (_name, headers) => {
  const { client, server } = await connectPair();
  expect(() => refuseUpgrade(server, { status: 400, headers })).toThrow(TypeError);
  server.end();
  expect(await client.rest()).toBe("");
});

it("writes one byte for each character of a header, as HTTP requires", async () => {
  const { client, server } = await connectPair();
  refuseUpgrade(server, { status: 400, headers: { "X-Room": "caf\u00e9" } });
  expect((await client.response()).headers["x-room"]).toBe("caf\u00e9");
});

it("closes its end when the peer has ended the connection", async () => {
  const { client, server } = await connectPair();
  const closed = once(server, "close");
  refuseUpgrade(server, { status: 400 });
  await client.rest();
  await closed;
  expect(server.destroyed).toBe(true);
});

it("closes its end when the peer keeps the connection open", async () => {
  const { client, server } = await connectPair();
  client.socket.allowHalfOpen = true;
  const closed = once(server, "close");
  refuseUpgrade(server, { status: 400 });
  expect((await client.response()).status).toBe(400);
  await closed;
  expect(client.socket.writableEnded).toBe(false);
});

it("sends the whole answer, without a reset, to a peer that has sent much and still sends", async () => {
  const { client, server } = await connectPair();
  const errors: Error[] = [];
  const closed = once(server, "close");
  client.socket.on("error", (error) => errors.push(error));
  client.write(Buffer.alloc(2 * 1024 * 1024));
  await once(server, "readable");
  refuseUpgrade(server, { status: 413, body: "b".repeat(100_000) });
  client.write(Buffer.alloc(100_000));
  const answer = await client.rest();
  expect(answer.endsWith("b".repeat(100_000))).toBe(true);
  expect(errors).toEqual([]);
  // All input was read: unread bytes would have turned the close into a reset.
  await closed;
  expect(server.bytesRead).toBe(2 * 1024 * 1024 + 100_000);
});

it("survives a peer that resets the connection during the answer", async () => {
  const { client, server } = await connectPair();
  // `once` from node:events would reject with the error that comes before the close.
  const closed = new Promise<void>((resolve) => server.once("close", () => resolve()));
  client.reset();
  refuseUpgrade(server, { status: 400, body: "b".repeat(1024 * 1024) });
  await closed;
  expect(server.destroyed).toBe(true);
});

it("does nothing to a socket that is closed already", async () => {
  const { server } = await connectPair();
  server.destroy();
  await once(server, "close");
  refuseUpgrade(server, { status: 400 });
  expect(server.destroyed).toBe(true);
});
