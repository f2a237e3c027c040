import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { constants, createSecureServer } from "node:http2";
import { describe, expect, it } from "vitest";
import type { AttachOptions } from "../../src/index.ts";
import { selfSigned } from "../support/certificate.ts";
import { binary, close, ping, text } from "../support/frames.ts";
import { listen, start, startBoard } from "../support/http2-board.ts";
import { ask, Http2Client, openSession, refusal } from "../support/http2-client.ts";

const MIB = 1024 * 1024;

describe("a WebSocket over HTTP/2", () => {
  it("carries messages and pings both ways", async () => {
    const { session, board } = await start();
    const client = await Http2Client.open(session);
    client.write(text("hello"));
    expect(await client.text()).toBe("hello");
    const bytes = Buffer.alloc(300_000, "abc");
    client.write(binary(bytes));
    expect((await client.frame()).payload.equals(bytes)).toBe(true);
    client.write(ping("are you there"));
    expect(await client.frame()).toMatchObject({ opcode: 0xa, payload: Buffer.from("are you there") });
    expect(board.stats()).toMatchObject({ connections: 1, upgrades: { accepted: 1 } });
    await client.close();
  });

  it("works over TLS", async () => {
    const { key, cert } = selfSigned();
    const server = createSecureServer({ key, cert });
    const board = await startBoard();
    board.attach(server);
    const session = await openSession(`https://localhost:${await listen(server)}`, cert);
    const client = await Http2Client.open(session);
    client.write(text("over TLS"));
    expect(await client.text()).toBe("over TLS");
    await client.close();
  });

  it("shares an HTTP/2 session with others, and ends alone", async () => {
    const { session } = await start({ shards: 2 });
    const clients = await Promise.all(Array.from({ length: 20 }, () => Http2Client.open(session)));
    for (const [n, client] of clients.entries()) client.write(text(`from ${n}`));
    expect(await Promise.all(clients.map((client) => client.text()))).toEqual(clients.map((_, n) => `from ${n}`));
    const [first, ...others] = clients as [Http2Client, ...Http2Client[]];
    await first.close();
    for (const client of others) client.write(text("still here"));
    expect(new Set(await Promise.all(others.map((client) => client.text())))).toEqual(new Set(["still here"]));
    expect(session.closed).toBe(false);
  });

  it("ends its stream with the close handshake", async () => {
    const { session, board } = await start();
    const client = await Http2Client.open(session);
    client.write(close(1000));
    expect(await client.closeCode()).toBe(1000);
    client.stream.end();
    await client.closed();
    expect(client.stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
    await expect.poll(() => board.stats().connections).toBe(0);
  });

  it("passes a request like that of an upgrade to authorize, and the session of authorize to the actor", async () => {
    const seen: IncomingMessage[] = [];
    const authorize: AttachOptions["authorize"] = async (request) => {
      seen.push(request);
      return { session: { user: request.headers.cookie } };
    };
    const { session, url } = await start({
      actor: "scripted",
      attach: { path: "/chat/:room", authorize, protocols: ["b"] },
    });
    const client = await Http2Client.open(session, {
      ":path": "/chat/kitchen?x=1",
      cookie: "user=Ada",
      origin: "https://example.com",
      "sec-websocket-protocol": "a, b",
    });
    expect(client.headers["sec-websocket-protocol"]).toBe("b");
    client.write(text(JSON.stringify({ do: "who" })));
    expect(JSON.parse(await client.text())).toMatchObject({
      session: { user: "user=Ada" },
      params: { room: "kitchen" },
      protocol: "b",
    });
    expect(seen[0]).toMatchObject({
      method: "CONNECT",
      url: "/chat/kitchen?x=1",
      httpVersion: "2.0",
      headers: { host: new URL(url).host, origin: "https://example.com", cookie: "user=Ada" },
    });
    expect(seen[0]?.socket.remoteAddress).toBe("127.0.0.1");
    expect(Object.keys(seen[0]?.headers ?? {}).filter((name) => name.startsWith(":"))).toEqual([]);
    expect(seen[0]?.rawHeaders).toEqual(expect.arrayContaining(["cookie", "user=Ada"]));
  });

  it("is compressed when both ends negotiate that", async () => {
    const { session } = await start({ compression: true });
    const client = await Http2Client.open(session, { "sec-websocket-extensions": "permessage-deflate" });
    expect(client.headers["sec-websocket-extensions"]).toMatch(/^permessage-deflate/);
  });

  it("delivers messages that came while authorize was pending", async () => {
    const asked = Promise.withResolvers<void>();
    const decided = Promise.withResolvers<{ session: undefined }>();
    const authorize = () => {
      asked.resolve();
      return decided.promise;
    };
    const { session } = await start({ attach: { authorize } });
    const stream = ask(session);
    stream.write(text("early"));
    await asked.promise;
    decided.resolve({ session: undefined });
    const [headers] = await once(stream, "response");
    expect(await new Http2Client(stream, headers).text()).toBe("early");
  });
});

describe("a request for a WebSocket that is refused", () => {
  const cases = [
    { name: "another version", headers: { "sec-websocket-version": "8" }, status: 400, says: "13" },
    { name: "no version", headers: { "sec-websocket-version": undefined }, status: 400, says: "13" },
    { name: "a foreign origin", headers: { origin: "https://evil.example" }, status: 403, says: "origin" },
    { name: "subprotocols twice", headers: { "sec-websocket-protocol": "a, a" }, status: 400, says: "tokens" },
    { name: "broken extensions", headers: { "sec-websocket-extensions": "a;;=" }, status: 400, says: "extensions" },
    {
      name: "another Host than its authority",
      headers: { ":authority": "a.example", host: "b.example" },
      status: 400,
      says: "authority",
    },
    { name: "a path that is nobody's", headers: { ":path": "/elsewhere" }, status: 404, says: "Not Found" },
  ];
  it.each(cases)("is answered with $status for $name", async ({ headers, status, says }) => {
    const { session } = await start({ attach: { path: "/here", origins: ["https://example.com"] } });
    const stream = ask(session, { ":path": "/here", ...headers });
    const answer = await refusal(stream);
    expect(answer.headers[":status"]).toBe(status);
    expect(answer.body).toContain(says);
    if (!stream.closed) await once(stream, "close");
    const client = await Http2Client.open(session, { ":path": "/here" });
    await client.close();
  });

  it("names the supported version", async () => {
    const { session } = await start();
    const { headers } = await refusal(ask(session, { "sec-websocket-version": "8" }));
    expect(headers["sec-websocket-version"]).toBe("13");
  });

  it("gets the status, headers and body of authorize's refusal, without headers of a connection", async () => {
    const headers = { "WWW-Authenticate": "Bearer", Connection: "close", "Content-Type": "application/json" };
    const authorize = () => ({ status: 401, headers, body: '{"who":"are you"}' });
    const { session, board } = await start({ attach: { authorize } });
    const answer = await refusal(ask(session));
    expect(answer.headers).toMatchObject({
      ":status": 401,
      "www-authenticate": "Bearer",
      "content-type": "application/json",
      "content-length": "17",
    });
    expect(answer.headers["connection"]).toBeUndefined();
    expect(answer.body).toBe('{"who":"are you"}');
    expect(board.stats().upgrades).toMatchObject({ accepted: 0 });
  });

  it("gets 500 when authorize throws, and the board emits the error", async () => {
    const authorize = () => {
      throw new TypeError("no database");
    };
    const { session, board } = await start({ attach: { authorize } });
    const failed = once(board as never, "handshakeFailed");
    expect((await refusal(ask(session))).headers[":status"]).toBe(500);
    expect(await failed).toMatchObject([{ message: "no database" }]);
  });

  it("is counted when it takes too long", async () => {
    const authorize = () => new Promise<never>(() => {});
    const { session, board } = await start({ attach: { authorize, handshakeTimeoutMs: 30 } });
    const stream = ask(session);
    const [error] = await once(stream, "error");
    expect(error).toMatchObject({ message: expect.stringContaining("INTERNAL_ERROR") });
    await expect.poll(() => board.stats().upgrades.timedOut).toBe(1);
  });

  it("is counted when its peer leaves before the answer", async () => {
    const asked = Promise.withResolvers<void>();
    const authorize = () => {
      asked.resolve();
      return new Promise<never>(() => {});
    };
    const { session, board } = await start({ attach: { authorize } });
    const stream = ask(session);
    await asked.promise;
    stream.close(constants.NGHTTP2_CANCEL);
    await expect.poll(() => board.stats().upgrades.abandoned).toBe(1);
  });
});

it("delays a peer that is faster than its actor, and no other stream of its session", async () => {
  const gate = new SharedArrayBuffer(4);
  const count = 64;
  const { session } = await start({
    actor: "gated",
    maxPayloadBytes: MIB,
    attach: { authorize: () => ({ session: { gate } }) },
  });
  const client = await Http2Client.open(session);
  const message = text("x".repeat(MIB / 4));
  for (let n = 0; n < count; n++) client.write(message);
  const flushed = Promise.withResolvers<void>();
  client.stream.write(text("last"), () => flushed.resolve());
  // The messages of another stream of the session arrive all the same.
  const other = await Http2Client.open(session);
  for (let n = 0; n < 50; n++) {
    other.write(ping(`other ${n}`));
    expect(await other.text()).toBe(`other ${n}`);
  }
  expect(client.stream.writableLength).toBeGreaterThan((count * MIB) / 8);
  const view = new Int32Array(gate);
  Atomics.store(view, 0, count + 1);
  Atomics.notify(view, 0);
  await flushed.promise;
  for (let n = 0; n < count; n++) expect(await client.text()).toBe("handled xxxxxxxxxx");
  expect(await client.text()).toBe("handled last");
});
