import { once } from "node:events";
import {
  createSecureServer,
  createServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Stream,
} from "node:http2";
import { connect as connectTls } from "node:tls";
import { describe, expect, it } from "vitest";
import WebSocket from "ws";
import { selfSigned } from "../support/certificate.ts";
import { close, text } from "../support/frames.ts";
import { listen, start, startBoard, watch } from "../support/http2-board.ts";
import { ask, Http2Client, openSession, refusal } from "../support/http2-client.ts";

describe("an HTTP/2 server with a board attached", () => {
  it("answers its own requests, and answers 404 when it has no listener for a request", async () => {
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

  it("gives the stream of a WebSocket on a path outside the board to its own connect listener", async () => {
    const server = createServer((_request, response) => response.end("plain"));
    server.on("connect", (request: Http2ServerRequest, response: Http2ServerResponse) => {
      if (request.url === "/own") response.end("own");
    });
    const { session } = await start({ attach: { path: "/ws" } }, server);
    expect((await refusal(ask(session, { ":path": "/own" }))).body).toBe("own");
    const client = await Http2Client.open(session, { ":path": "/ws" });
    await client.close();
  });

  it("has its listeners of before after the board is closed", async () => {
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

  it("keeps extended CONNECT requests of other protocols", async () => {
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

  it("makes the board report a listener that also answers the streams of WebSockets", async () => {
    const server = createServer();
    server.on("stream", (stream: ServerHttp2Stream) => {
      stream.respond({ ":status": 200 });
      stream.end("mine");
    });
    const { session, board } = await start({}, server);
    const failed = once(board as never, "handshakeFailed");
    expect((await refusal(ask(session))).body).toBe("mine");
    expect(await failed).toMatchObject([{ code: "ERR_UPGRADE_TAKEN" }]);
  });

  it("takes HTTP/1.1 upgrades on the same port with allowHTTP1", async () => {
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
