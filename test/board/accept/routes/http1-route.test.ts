import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { startBoard } from "../../../support/board.ts";
import * as frames from "../../../support/frames.ts";
import { RawClient, type RawClientOptions, upgradeRequest } from "../../../support/raw-client.ts";

const run = promisify(execFile);

interface TestServer {
  readonly server: Server;
  readonly port: number;
}

async function startServer(handler: RequestListener = (_request, response) => response.end()): Promise<TestServer> {
  const server = createServer(handler);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { server, port: (server.address() as AddressInfo).port };
}

/** Status of an upgrade that isn't answered with 101. */
async function refusal(options: RawClientOptions): Promise<number> {
  const client = await RawClient.connect(options.port);
  client.write(upgradeRequest(options));
  const { status } = await client.response();
  await client.closed();
  return status;
}

async function paramsOf(options: RawClientOptions): Promise<unknown> {
  const client = await RawClient.open(options);
  client.write(frames.text('{"do":"who"}'));
  return JSON.parse(await client.text()).params;
}

it("passes the path's decoded parameters to the actor", async () => {
  const { port } = await startBoard({ actor: "scripted", attach: { path: "/chat/:room/:user?" } });
  expect(await paramsOf({ port, path: "/chat/blue%20room?user=query" })).toEqual({ room: "blue room" });
  expect(await paramsOf({ port, path: "/chat/blue/ada" })).toEqual({ room: "blue", user: "ada" });
});

it("answers 404 for a path with invalid percent-encoding, and for any other path", async () => {
  const { board, port } = await startBoard({ attach: { path: "/chat/:room" } });
  expect(await refusal({ port, path: "/chat/%zz" })).toBe(404);
  expect(await refusal({ port, path: "/elsewhere" })).toBe(404);
  expect(board.stats().connections).toBe(0);
});

it("doesn't touch the server's other requests", async () => {
  const { server, port } = await startServer((request, response) => response.end(`hello ${request.url}`));
  const { board } = await startBoard();
  board.attach(server, { path: "/chat" });
  const client = await RawClient.open({ port, path: "/chat" });
  for (const path of ["/", "/chat", "/other"]) {
    expect(await (await fetch(`http://127.0.0.1:${port}${path}`)).text()).toBe(`hello ${path}`);
  }
  client.write(frames.text("still here"));
  expect(await client.text()).toBe("still here");
});

it("leaves upgrades of other paths to the server's other listeners", async () => {
  const { server, port } = await startServer();
  const others: (string | undefined)[] = [];
  server.on("upgrade", (request, socket) => {
    if (request.url === "/chat") return;
    others.push(request.url);
    socket.end("HTTP/1.1 418 Teapot\r\nConnection: close\r\n\r\n");
  });
  const { board } = await startBoard();
  board.attach(server, { path: "/chat" });
  expect(await refusal({ port, path: "/other" })).toBe(418);
  const client = await RawClient.open({ port, path: "/chat" });
  client.write(frames.text("mine"));
  expect(await client.text()).toBe("mine");
  expect(others).toEqual(["/other"]);
});

it("answers 404 for other paths when the server has no other listener for upgrades", async () => {
  const { server, port } = await startServer();
  const { board } = await startBoard();
  board.attach(server, { path: "/chat" });
  expect(await refusal({ port, path: "/other" })).toBe(404);
});

it("serves several paths of one server with the first route that matches", async () => {
  const { server, port } = await startServer();
  const { board } = await startBoard({ actor: "scripted" });
  board
    .attach(server, { path: "/chat/lobby" })
    .attach(server, { path: "/chat/:room" })
    .attach(server, { path: "/x/:y" });
  expect(await paramsOf({ port, path: "/chat/lobby" })).toEqual({});
  expect(await paramsOf({ port, path: "/chat/blue" })).toEqual({ room: "blue" });
  expect(await paramsOf({ port, path: "/x/1" })).toEqual({ y: "1" });
  expect(await refusal({ port, path: "/none" })).toBe(404);
});

it("serves the paths of two boards on one server, and continues with one when the other closes", async () => {
  const { server, port } = await startServer();
  const { board: echo } = await startBoard({ actor: "echo" });
  const { board: scripted } = await startBoard({ actor: "scripted" });
  echo.attach(server, { path: "/echo" });
  scripted.attach(server, { path: "/scripted/:name" });
  const client = await RawClient.open({ port, path: "/echo" });
  client.write(frames.text('{"do":"who"}'));
  expect(await client.text()).toBe('{"do":"who"}');
  expect(await paramsOf({ port, path: "/scripted/a" })).toEqual({ name: "a" });

  await echo.close({ timeoutMs: 0 });
  expect(await refusal({ port, path: "/echo" })).toBe(404);
  expect(await paramsOf({ port, path: "/scripted/b" })).toEqual({ name: "b" });
  await scripted.close({ timeoutMs: 0 });
  expect(server.listenerCount("upgrade")).toBe(0);
});

it("takes one board's path on two servers", async () => {
  const [one, other] = [await startServer(), await startServer()];
  const { board } = await startBoard({ actor: "scripted" });
  board.attach(one.server, { path: "/one/:a" }).attach(other.server, { path: "/other/:b" });
  expect(await paramsOf({ port: one.port, path: "/one/1" })).toEqual({ a: "1" });
  expect(await paramsOf({ port: other.port, path: "/other/2" })).toEqual({ b: "2" });
  expect(await refusal({ port: one.port, path: "/other/2" })).toBe(404);
});

/** A server that answers with the URL of each request, and a board on one of its paths. */
async function startEchoing(): Promise<TestServer> {
  const started = await startServer(async (request, response) => {
    const body = await text(request);
    response.end(`${request.method} ${request.url} ${body}`);
  });
  const { board } = await startBoard();
  board.attach(started.server, { path: "/ours", handshakeTimeoutMs: 300 });
  return started;
}

describe("a request that offers another protocol", () => {
  it.each(["h2c", "foobar", "TLS/1.0", "foobar, h2c"])(
    "is left to the server (%s), also on the board's path",
    async (offer) => {
      const { port } = await startEchoing();
      for (const path of ["/ours", "/theirs"]) {
        expect(await fetchOffering(offer, port, path)).toEqual({ status: 200, body: `GET ${path} ` });
        expect(await fetchOffering(offer, port, path, "hello")).toEqual({ status: 200, body: `POST ${path} hello` });
      }
    },
  );

  it("is left to the server when Node takes every offer for an upgrade", async () => {
    const { server, port } = await startServer((request, response) => response.end(`hello ${request.url}`));
    // Acts as Node before 22.21 and 24.9, which doesn't ask the server.
    Object.defineProperty(server, "shouldUpgradeCallback", {
      get: () => () => server.listenerCount("upgrade") > 0,
      set: () => {},
    });
    const { board } = await startBoard();
    board.attach(server, { path: "/ours" });
    expect(await fetchOffering("foobar", port, "/ours")).toEqual({ status: 200, body: "hello /ours" });
    const client = await RawClient.open({ port, path: "/ours" });
    client.write(frames.text("hello"));
    expect(await client.text()).toBe("hello");
  });

  it("is left to the server in HTTP/1.0, which can't upgrade", async () => {
    const { port } = await startEchoing();
    const client = await RawClient.connect(port);
    client.write(upgradeRequest({ path: "/ours" }).replace("HTTP/1.1", "HTTP/1.0"));
    expect((await client.response()).status).toBe(200);
    expect(await client.rest()).toBe("GET /ours ");
  });

  it("is a handshake if it also offers a WebSocket", async () => {
    const { port } = await startEchoing();
    const client = await RawClient.open({ port, path: "/ours", headers: { Upgrade: "h2c, websocket" } });
    client.write(frames.text("hello"));
    expect(await client.text()).toBe("hello");
  });

  it.each(["/ours", "/theirs"])("is left to the server from curl --http2, for %s", async (path) => {
    const { port } = await startEchoing();
    const curl = async (...options: string[]): Promise<string> =>
      (await run("curl", ["-sS", "--http2", "--max-time", "30", ...options, `http://127.0.0.1:${port}${path}`])).stdout;
    expect(await curl()).toBe(`GET ${path} `);
    expect(await curl("--data", "hello")).toBe(`POST ${path} hello`);
  });

  it("is left to the server at once when it offers h2c and others listen for upgrades", async () => {
    const { server, port } = await startEchoing();
    const other = vi.fn();
    server.on("upgrade", other);
    expect(await fetchOffering("h2c", port, "/ours", "hello")).toEqual({ status: 200, body: "POST /ours hello" });
    expect(other).not.toHaveBeenCalled();
  });

  it("is given to the other listeners for upgrades, and to the server when none takes it", async () => {
    const { server, port } = await startEchoing();
    server.on("upgrade", (request, socket) => {
      if (request.url === "/theirs") socket.end("HTTP/1.1 418 Teapot\r\n\r\n");
    });
    expect(await fetchOffering("foobar", port, "/theirs")).toMatchObject({ status: 418 });
    expect(await fetchOffering("foobar", port, "/ours", "hello")).toMatchObject({ status: 404 });
    const client = await RawClient.connect(port);
    // The second request, of the same connection, comes with the first.
    client.write(`${offering("foobar", "/ours")}GET /second HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    for (const path of ["/ours", "/second"]) {
      const { status, headers } = await client.response();
      expect(status).toBe(200);
      expect(await client.take(Number(headers["content-length"]))).toBe(`GET ${path} `);
    }
    await client.closed();
  });
});

it("doesn't change the server once the last route is gone", async () => {
  const { server, port } = await startServer((_request, response) => response.end("served"));
  const { board } = await startBoard();
  board.attach(server, { path: "/ours" });
  await board.close();
  expect(await fetchOffering("websocket", port, "/ours")).toEqual({ status: 200, body: "served" });
});

function offering(protocol: string, path: string, connection = "Upgrade, HTTP2-Settings"): string {
  return `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: ${connection}\r\nUpgrade: ${protocol}\r\nHTTP2-Settings: \r\n\r\n`;
}

/**
 * The answer to a client that requests a resource and offers to upgrade on the way, as some clients do with every
 * request. With a body: by POST.
 */
async function fetchOffering(
  protocol: string,
  port: number,
  path: string,
  body?: string,
): Promise<{ status: number; body: string }> {
  const client = await RawClient.connect(port);
  const request = offering(protocol, path, "Upgrade, HTTP2-Settings, close");
  if (body === undefined) client.write(request);
  else
    client.write(
      `${request.replace("GET", "POST").replace("\r\n\r\n", `\r\nContent-Length: ${body.length}\r\n\r\n`)}${body}`,
    );
  const { status } = await client.response();
  return { status, body: await client.rest() };
}
