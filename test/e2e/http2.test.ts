import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import {
  type ClientHttp2Session,
  constants,
  createSecureServer,
  createServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { connect as connectTls } from "node:tls";
import { describe, expect, it } from "vitest";
import WebSocket from "ws";
import type { AttachOptions } from "../../src/index.ts";
import { selfSigned } from "../support/certificate.ts";
import { binary, close, ping, text } from "../support/frames.ts";
import { listen, start, startBoard } from "../support/http2-board.ts";
import { ask, Http2Client, openSession, refusal } from "../support/http2-client.ts";

const MIB = 1024 * 1024;

/** What the actors of "scripted" publish about themselves. */
async function watch(session: ClientHttp2Session, path = "/"): Promise<Http2Client> {
  const watcher = await Http2Client.open(session, { ":path": path });
  watcher.write(text(JSON.stringify({ do: "subscribe", topic: "log" })));
  expect(await watcher.text()).toBe("subscribed log");
  return watcher;
}

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

  it("has a session of HTTP/2 with others, and ends alone", async () => {
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

  it("gives authorize a request like that of an upgrade, and its verdict to the actor", async () => {
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

  it("compresses when both agree", async () => {
    const { session } = await start({ compression: true });
    const client = await Http2Client.open(session, { "sec-websocket-extensions": "permessage-deflate" });
    expect(client.headers["sec-websocket-extensions"]).toMatch(/^permessage-deflate/);
  });

  it("delivers what came while authorize was thinking", async () => {
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

describe("a stream that gets no WebSocket", () => {
  const cases = [
    { name: "another version", headers: { "sec-websocket-version": "8" }, status: 400, says: "13" },
    { name: "no version", headers: { "sec-websocket-version": undefined }, status: 400, says: "13" },
    { name: "a foreign origin", headers: { origin: "https://evil.example" }, status: 403, says: "origin" },
    { name: "subprotocols twice", headers: { "sec-websocket-protocol": "a, a" }, status: 400, says: "tokens" },
    { name: "broken extensions", headers: { "sec-websocket-extensions": "a;;=" }, status: 400, says: "extensions" },
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

  it("tells which version is spoken", async () => {
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

  it("gets 500 when authorize throws, which is told", async () => {
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

describe("the end of a WebSocket over HTTP/2", () => {
  it("is 1006 for the actor when the stream is reset", async () => {
    const { session } = await start({ actor: "scripted" });
    const watcher = await watch(session);
    const client = await Http2Client.open(session);
    expect(await watcher.text()).toMatch(/^opened/);
    client.stream.close(constants.NGHTTP2_CANCEL);
    expect(await watcher.text()).toMatch(/^closed \S+ 1006/);
  });

  it("is 1006 for each actor of a session that is destroyed", async () => {
    const { session, url } = await start({ actor: "scripted" });
    const watcher = await watch(await openSession(url));
    await Promise.all([Http2Client.open(session), Http2Client.open(session)]);
    expect([await watcher.text(), await watcher.text()]).toEqual([
      expect.stringMatching(/^opened/),
      expect.stringMatching(/^opened/),
    ]);
    session.destroy();
    expect(await watcher.text()).toMatch(/^closed \S+ 1006/);
    expect(await watcher.text()).toMatch(/^closed \S+ 1006/);
  });

  it("is 1006 when the peer ends the stream with its request", async () => {
    const { session } = await start({ actor: "scripted" });
    const watcher = await watch(session);
    const headers = { ":method": "CONNECT", ":protocol": "websocket", ":path": "/", "sec-websocket-version": "13" };
    const stream = session.request(headers, { endStream: true });
    stream.resume();
    expect(await watcher.text()).toMatch(/^opened/);
    expect(await watcher.text()).toMatch(/^closed \S+ 1006/);
    if (!stream.closed) await once(stream, "close");
  });

  it("comes to a peer that doesn't read, and leaves the session's other streams alone", async () => {
    const { session } = await start({ actor: "scripted", closeTimeoutMs: 50 });
    const watcher = await watch(session);
    const stream = ask(session);
    stream.on("error", () => {});
    await once(stream, "response");
    expect(await watcher.text()).toMatch(/^opened/);
    for (let n = 0; n < 8; n++) stream.write(text(JSON.stringify({ do: "send", bytes: MIB / 2 })));
    expect(await watcher.text()).toMatch(/^closed/);
    stream.destroy();
  });

  it("is 1006 when the server destroys the session", async () => {
    const server = createServer();
    const sessions: ServerHttp2Session[] = [];
    server.on("session", (session: ServerHttp2Session) => sessions.push(session));
    const { session, url } = await start({ actor: "scripted" }, server);
    const watcher = await watch(await openSession(url));
    const client = await Http2Client.open(session);
    expect(await watcher.text()).toMatch(/^opened/);
    sessions[0]?.destroy();
    expect(await watcher.text()).toMatch(/^closed \S+ 1006/);
    await client.closed();
  });

  it("comes later than a GOAWAY, which lets open streams go on", async () => {
    const { session } = await start();
    const client = await Http2Client.open(session);
    session.close();
    client.write(text("after GOAWAY"));
    expect(await client.text()).toBe("after GOAWAY");
    await client.close();
    if (!session.destroyed) await once(session, "close");
  });

  it("is 1001 when the board closes, and leaves the server's session open", async () => {
    const server = createServer((_request, response) => response.end("plain"));
    const { session, board } = await start({}, server);
    const client = await Http2Client.open(session);
    const closed = board.close();
    expect(await client.closeCode()).toBe(1001);
    client.write(close(1001));
    client.stream.end();
    expect(await closed).toEqual({ closed: 1, dropped: 0 });
    expect((await refusal(session.request({ ":path": "/" }))).body).toBe("plain");
  });

  it("is CANCEL when its shard dies", async () => {
    const { session, board } = await start({ actor: "scripted" });
    board.on("shardLost", () => {});
    const client = await Http2Client.open(session);
    client.write(text(JSON.stringify({ do: "exit" })));
    await client.closed();
    expect(client.stream.rstCode).toBe(constants.NGHTTP2_CANCEL);
  });
});

it("stops a peer that is faster than the actor, and no other stream of its session", async () => {
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
  // What another stream of the session hears doesn't depend on it.
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

describe("the server beside a board", () => {
  it("answers its own requests, and 404 to what nobody takes", async () => {
    const server = createServer((_request, response) => response.end("plain"));
    const { session } = await start({ attach: { path: "/ws" } }, server);
    expect((await refusal(session.request({ ":path": "/ws" }))).body).toBe("plain");
    expect((await refusal(ask(session, { ":path": "/nobody" }))).headers[":status"]).toBe(404);
    const tunnel = session.request({ ":method": "CONNECT", ":authority": "example.com:80" });
    expect((await refusal(tunnel)).headers[":status"]).toBe(405);
    const client = await Http2Client.open(session, { ":path": "/ws" });
    client.write(text("hello"));
    expect(await client.text()).toBe("hello");
  });

  it("gives a WebSocket's stream to its own connect listener when it is on no path of the board", async () => {
    const server = createServer((_request, response) => response.end("plain"));
    server.on("connect", (request: Http2ServerRequest, response: Http2ServerResponse) => {
      if (request.url === "/own") response.end("own");
    });
    const { session } = await start({ attach: { path: "/ws" } }, server);
    expect((await refusal(ask(session, { ":path": "/own" }))).body).toBe("own");
    const client = await Http2Client.open(session, { ":path": "/ws" });
    await client.close();
  });

  it("is as it was when the board is closed", async () => {
    const server = createServer((_request, response) => response.end("plain"));
    const listeners = () => ["stream", "connect", "upgrade"].map((event) => server.listenerCount(event));
    const before = listeners();
    const { board, session } = await start({ attach: { path: "/ws" } }, server);
    await board.close();
    expect(listeners()).toEqual(before);
    expect((await refusal(ask(session, { ":path": "/ws" }))).headers[":status"]).toBe(405);
  });

  it("answers 503 while the board closes", async () => {
    const { board, session } = await start({ actor: "scripted" });
    const client = await Http2Client.open(session);
    const closed = board.close();
    expect(await client.closeCode()).toBe(1001);
    expect((await refusal(ask(session))).headers[":status"]).toBe(503);
    client.write(close(1001));
    client.stream.end();
    await closed;
  });

  it("keeps the extended CONNECTs of other protocols", async () => {
    const server = createServer();
    server.on("stream", (stream: ServerHttp2Stream, headers) => {
      if (headers[":protocol"] !== "connect-udp") return;
      stream.respond({ ":status": 200 });
      stream.end("udp");
    });
    const { session } = await start({}, server);
    expect((await refusal(ask(session, { ":protocol": "connect-udp" }))).body).toBe("udp");
  });

  it("serves two boards on two paths", async () => {
    const server = createServer();
    const other = await startBoard({ actor: "scripted" });
    other.attach(server, { path: "/scripted" });
    const { session } = await start({ attach: { path: "/echo" } }, server);
    const echo = await Http2Client.open(session, { ":path": "/echo" });
    echo.write(text("hello"));
    expect(await echo.text()).toBe("hello");
    await watch(session, "/scripted");
  });

  it("is told of a listener that answers WebSockets' streams, too", async () => {
    const server = createServer();
    server.on("stream", (stream: ServerHttp2Stream) => {
      stream.respond({ ":status": 200 });
      stream.end("mine");
    });
    const { session, board } = await start({}, server);
    const failed = once(board as never, "handshakeFailed");
    expect((await refusal(ask(session))).body).toBe("mine");
    expect(await failed).toMatchObject([{ code: "ERR_STREAM_ANSWERED" }]);
  });

  it("takes upgrades of HTTP/1.1 on the same port with allowHTTP1", async () => {
    const { key, cert } = selfSigned();
    const server = createSecureServer({ key, cert, allowHTTP1: true }, (_request, response) => response.end("plain"));
    const board = await startBoard();
    board.attach(server, { path: "/ws" });
    const port = await listen(server);
    const old = new WebSocket(`wss://localhost:${port}/ws`, { ca: cert });
    await once(old, "open");
    old.send("by HTTP/1.1");
    expect(String((await once(old, "message"))[0])).toBe("by HTTP/1.1");
    const client = await Http2Client.open(await openSession(`https://localhost:${port}`, cert), { ":path": "/ws" });
    client.write(text("by HTTP/2"));
    expect(await client.text()).toBe("by HTTP/2");
    expect(board.stats().connections).toBe(2);
    const tunnel = connectTls({ port, host: "127.0.0.1", ca: cert, servername: "localhost" });
    tunnel.on("error", () => {});
    tunnel.write("CONNECT example.com:80 HTTP/1.1\r\nHost: example.com:80\r\n\r\n");
    await once(tunnel.resume(), "close");
    await client.close();
    old.close();
    await once(old, "close");
  });
});
