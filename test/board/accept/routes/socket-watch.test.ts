import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Stream } from "node:http2";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { createServer as createVite } from "vite";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { WebSocketServer } from "ws";
import type { Switchboard } from "../../../../src/index.ts";
import { startBoard } from "../../../support/board.ts";
import { selfSigned } from "../../../support/certificate.ts";
import { text } from "../../../support/frames.ts";
import { ask, openSession, refusal } from "../../../support/http2-client.ts";
import { RawClient, type RawClientOptions, upgradeRequest } from "../../../support/raw-client.ts";

async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

/** The board's reports of upgrades that another listener took. */
function watchFailures(board: Switchboard): ReturnType<typeof vi.fn> {
  const failed = vi.fn();
  board.on("handshakeFailed", failed);
  return failed;
}

/** A `ws` server that answers "ws: " and the message. */
function startWs(options: ConstructorParameters<typeof WebSocketServer>[0]): WebSocketServer {
  const wss = new WebSocketServer(options);
  wss.on("connection", (socket) => socket.on("message", (data) => socket.send(`ws: ${data}`)));
  onTestFinished(() => {
    for (const client of wss.clients) client.terminate();
    wss.close();
  });
  return wss;
}

async function status(options: RawClientOptions): Promise<number> {
  const client = await RawClient.connect(options.port);
  client.write(upgradeRequest(options));
  const { status } = await client.response();
  await client.closed();
  return status;
}

async function talk(client: RawClient): Promise<string> {
  client.write(text("hello"));
  return client.text();
}

const TAKEN = expect.objectContaining({ code: "ERR_UPGRADE_TAKEN", message: expect.stringContaining("/both") });

const servers = [
  { name: "http", create: () => createServer(), open: (port: number) => RawClient.connect(port) },
  {
    name: "https",
    create: () => createTlsServer(selfSigned()),
    open: async (port: number) =>
      new RawClient(connectTls({ port, host: "127.0.0.1", ca: selfSigned().cert, servername: "localhost" })),
  },
];

describe.each(servers)("a path that ws also takes ($name)", ({ create, open }) => {
  it.each(["before", "after"])("is left to ws when ws listens %s the board, which reports that once", async (order) => {
    const server = create();
    const { board } = await startBoard();
    const failed = watchFailures(board);
    if (order === "before") startWs({ server, path: "/both" });
    board.attach(server, { path: "/both" });
    if (order === "after") startWs({ server, path: "/both" });
    const client = await open(await listen(server));
    client.write(upgradeRequest({ path: "/both" }));
    expect((await client.response()).status).toBe(101);
    expect(await talk(client)).toBe("ws: hello");
    await vi.waitFor(() => expect(failed.mock.calls).toEqual([[TAKEN]]));
    expect(board.stats().upgrades).toMatchObject({ accepted: 0, failed: 1, refused: {} });
  });

  it("is left to ws when ws takes it while the board's authorize is pending", async () => {
    const server = create();
    const { board } = await startBoard();
    const failed = watchFailures(board);
    const asked = Promise.withResolvers<void>();
    const verdict = Promise.withResolvers<{ session: undefined }>();
    const authorize = (): Promise<{ session: undefined }> => {
      asked.resolve();
      return verdict.promise;
    };
    board.attach(server, { path: "/both", authorize });
    const wss = startWs({ noServer: true });
    server.on("upgrade", async (request, socket, head) => {
      await asked.promise;
      wss.handleUpgrade(request, socket, head, (client) => wss.emit("connection", client, request));
    });
    const client = await open(await listen(server));
    client.write(upgradeRequest({ path: "/both" }));
    expect((await client.response()).status).toBe(101);
    verdict.resolve({ session: undefined });
    await vi.waitFor(() => expect(failed.mock.calls).toEqual([[TAKEN]]));
    expect(await talk(client)).toBe("ws: hello");
  });

  it("is left to ws when the board's handshake times out", async () => {
    const server = create();
    const { board } = await startBoard();
    const failed = watchFailures(board);
    const authorize = () => new Promise<never>(() => {});
    board.attach(server, { path: "/both", authorize, handshakeTimeoutMs: 50 });
    startWs({ server, path: "/both" });
    const client = await open(await listen(server));
    client.write(upgradeRequest({ path: "/both" }));
    expect((await client.response()).status).toBe(101);
    await vi.waitFor(() => expect(failed.mock.calls).toEqual([[TAKEN]]));
    expect(await talk(client)).toBe("ws: hello");
  });
});

it("is left alone when another listener refuses or destroys the upgrade", async () => {
  const server = createServer();
  const { board } = await startBoard();
  const failed = watchFailures(board);
  board.attach(server, { path: "/both" });
  server.on("upgrade", (request, socket: Duplex) => {
    if (request.headers["x-do"] === "refuse") socket.end("HTTP/1.1 401 Unauthorized\r\n\r\n");
    else socket.destroy();
  });
  const port = await listen(server);
  const client = await RawClient.connect(port);
  client.write(upgradeRequest({ path: "/both", headers: { "X-Do": "refuse" } }));
  expect((await client.response()).status).toBe(401);
  client.socket.end();
  expect(await client.rest()).toBe("");
  const other = await RawClient.connect(port);
  other.write(upgradeRequest({ path: "/both" }));
  expect(await other.rest()).toBe("");
  await vi.waitFor(() => expect(failed.mock.calls).toEqual([[TAKEN], [TAKEN]]));
});

it("takes a socket once, however often it is passed to handleUpgrade", async () => {
  const { board } = await startBoard();
  const { board: second } = await startBoard();
  const failed = watchFailures(second);
  const server = createServer().on("upgrade", (request, socket, head) => {
    board.handleUpgrade(request, socket, head);
    second.handleUpgrade(request, socket, head);
  });
  const client = await RawClient.open({ port: await listen(server), path: "/both" });
  expect(await talk(client)).toBe("hello");
  expect(failed.mock.calls).toEqual([[TAKEN]]);
  expect([board.stats().connections, second.stats().connections]).toEqual([1, 0]);
});

it("leaves the WebSocket of Vite to Vite on a board without a path", async () => {
  const server = createServer();
  const { board } = await startBoard();
  const failed = watchFailures(board);
  board.attach(server);
  const vite = await createVite({
    configFile: false,
    logLevel: "silent",
    server: { middlewareMode: true, hmr: { server }, watch: null },
    optimizeDeps: { noDiscovery: true },
  });
  onTestFinished(() => vite.close());
  const port = await listen(server);
  const path = `/?token=${vite.config.webSocketToken}`;
  const hmr = await RawClient.open({ port, path, headers: { "Sec-WebSocket-Protocol": "vite-hmr" } });
  expect(JSON.parse(await hmr.text())).toEqual({ type: "connected" });
  await vi.waitFor(() => expect(failed.mock.calls).toEqual([[expect.objectContaining({ code: "ERR_UPGRADE_TAKEN" })]]));
  const client = await RawClient.open({ port, path: "/anything" });
  expect(await talk(client)).toBe("hello");
  hmr.reset();
  await client.close();
});

describe("an upgrade on no path of the board, with other listeners", () => {
  it("gets 404 when the other listeners don't take it", async () => {
    const server = createServer();
    const { board } = await startBoard();
    board.attach(server, { path: "/chat", handshakeTimeoutMs: 100 });
    const wss = startWs({ noServer: true });
    server.on("upgrade", (request, socket, head) => {
      if (request.url === "/ws") wss.handleUpgrade(request, socket, head, (ws) => wss.emit("connection", ws, request));
    });
    const port = await listen(server);
    expect(await status({ port, path: "/nobody" })).toBe(404);
    expect(await talk(await RawClient.open({ port, path: "/ws" }))).toBe("ws: hello");
    expect(await talk(await RawClient.open({ port, path: "/chat" }))).toBe("hello");
  });

  it("belongs to another listener that takes it later, and for ever", async () => {
    const server = createServer();
    const { board } = await startBoard();
    const failed = watchFailures(board);
    board.attach(server, { path: "/chat", handshakeTimeoutMs: 1_000 });
    const wss = startWs({ noServer: true });
    server.on("upgrade", async (request, socket, head) => {
      if (request.url !== "/ws") return;
      await turn();
      wss.handleUpgrade(request, socket, head, (ws) => wss.emit("connection", ws, request));
    });
    const port = await listen(server);
    const client = await RawClient.open({ port, path: "/ws" });
    // The answer to the second upgrade comes after the deadline of the first.
    expect(await status({ port, path: "/nobody" })).toBe(404);
    expect(await talk(client)).toBe("ws: hello");
    expect(failed).not.toHaveBeenCalled();
  });

  it("causes no error when its peer resets the connection", async () => {
    const server = createServer();
    const { board } = await startBoard();
    board.attach(server, { path: "/chat" });
    const seen = new Promise<Duplex>((resolve) => server.on("upgrade", (_request, socket) => resolve(socket)));
    const client = await RawClient.connect(await listen(server));
    client.write(upgradeRequest({ path: "/nobody" }));
    const socket = await seen;
    const closed = new Promise((resolve) => socket.once("close", resolve));
    client.reset();
    await closed;
    expect((socket as { errored?: unknown }).errored).toMatchObject({ code: "ECONNRESET" });
  });

  it("gets 404 over HTTP/2, too", async () => {
    const server: Http2Server = createHttp2Server();
    const { board } = await startBoard();
    board.attach(server, { path: "/chat", handshakeTimeoutMs: 100 });
    server.on("stream", (stream: ServerHttp2Stream, headers) => {
      if (headers[":path"] !== "/own") return;
      stream.respond({ ":status": 418 });
      stream.end();
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const session = await openSession(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    expect((await refusal(ask(session, { ":path": "/nobody" }))).headers[":status"]).toBe(404);
    expect((await refusal(ask(session, { ":path": "/own" }))).headers[":status"]).toBe(418);
  });
});

it("reaches its own board when two boards listen beside ws", async () => {
  const server = createServer();
  const [{ board: one }, { board: two }] = await Promise.all([startBoard(), startBoard({ actor: "scripted" })]);
  one.attach(server, { path: "/one" });
  const wss = startWs({ noServer: true });
  server.on("upgrade", (request, socket, head) => {
    if (request.url === "/ws") wss.handleUpgrade(request, socket, head, (ws) => wss.emit("connection", ws, request));
  });
  two.attach(server, { path: "/two" });
  const port = await listen(server);
  expect(await talk(await RawClient.open({ port, path: "/one" }))).toBe("hello");
  expect(await talk(await RawClient.open({ port, path: "/ws" }))).toBe("ws: hello");
  const client = await RawClient.open({ port, path: "/two" });
  client.write(text('{"do":"who"}'));
  expect(JSON.parse(await client.text())).toMatchObject({ params: {} });
});

it.each(["https", "http2"])(
  "reaches the first of two boards on one path, and each time the other board reports that (%s)",
  async (kind) => {
    const server = kind === "https" ? createTlsServer(selfSigned()) : createHttp2Server();
    const [{ board: first }, { board: second }] = await Promise.all([startBoard(), startBoard()]);
    const [none, failed] = [watchFailures(first), watchFailures(second)];
    first.attach(server, { path: "/:any" });
    // Two routes of one board with the same path are no conflict.
    first.attach(server, { path: "/both" });
    second.attach(server, { path: "/both" });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    for (const calls of [[[TAKEN]], [[TAKEN], [TAKEN]]]) {
      if (kind === "https") {
        const socket = connectTls({ port, host: "127.0.0.1", ca: selfSigned().cert, servername: "localhost" });
        const client = new RawClient(socket);
        client.write(upgradeRequest({ path: "/both" }));
        expect((await client.response()).status).toBe(101);
        client.socket.destroy();
      } else {
        const session = await openSession(`http://127.0.0.1:${port}`);
        await once(ask(session, { ":path": "/both" }), "response");
        session.destroy();
      }
      await vi.waitFor(() => expect(failed.mock.calls).toEqual(calls));
    }
    expect(second.stats().upgrades).toMatchObject({ accepted: 0, failed: 2 });
    expect(none).not.toHaveBeenCalled();
  },
);
