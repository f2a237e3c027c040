import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { startBoard } from "../../support/board.ts";
import { text } from "../../support/frames.ts";
import { RawClient, type RawClientOptions, upgradeRequest } from "../../support/raw-client.ts";

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

/** Status of an upgrade that is answered with something else than 101. */
async function refusal(options: RawClientOptions): Promise<number> {
  const client = await RawClient.connect(options.port);
  client.write(upgradeRequest(options));
  const { status } = await client.response();
  await client.closed();
  return status;
}

async function paramsOf(options: RawClientOptions): Promise<unknown> {
  const client = await RawClient.open(options);
  client.write(text('{"do":"who"}'));
  return JSON.parse(await client.text()).params;
}

it("gives the path's parameters, decoded, to the actor", async () => {
  const { port } = await startBoard({ actor: "scripted", attach: { path: "/chat/:room/:user?" } });
  expect(await paramsOf({ port, path: "/chat/blue%20room?user=query" })).toEqual({ room: "blue room" });
  expect(await paramsOf({ port, path: "/chat/blue/ada" })).toEqual({ room: "blue", user: "ada" });
});

it("answers 404 for a path that is no valid percent-encoding, and for any other", async () => {
  const { board, port } = await startBoard({ attach: { path: "/chat/:room" } });
  expect(await refusal({ port, path: "/chat/%zz" })).toBe(404);
  expect(await refusal({ port, path: "/elsewhere" })).toBe(404);
  expect(board.stats().connections).toBe(0);
});

it("leaves a server's other requests alone", async () => {
  const { server, port } = await startServer((request, response) => response.end(`hello ${request.url}`));
  const { board } = await startBoard();
  board.attach(server, { path: "/chat" });
  const client = await RawClient.open({ port, path: "/chat" });
  for (const path of ["/", "/chat", "/other"]) {
    expect(await (await fetch(`http://127.0.0.1:${port}${path}`)).text()).toBe(`hello ${path}`);
  }
  client.write(text("still here"));
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
  client.write(text("mine"));
  expect(await client.text()).toBe("mine");
  expect(others).toEqual(["/other"]);
});

it("answers 404 for other paths when nobody else listens for upgrades", async () => {
  const { server, port } = await startServer();
  const { board } = await startBoard();
  board.attach(server, { path: "/chat" });
  expect(await refusal({ port, path: "/other" })).toBe(404);
});

it("takes several paths of one server, the first that matches", async () => {
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

it("takes the paths of two boards on one server, and goes on with one when the other is closed", async () => {
  const { server, port } = await startServer();
  const { board: echo } = await startBoard({ actor: "echo" });
  const { board: scripted } = await startBoard({ actor: "scripted" });
  echo.attach(server, { path: "/echo" });
  scripted.attach(server, { path: "/scripted/:name" });
  const client = await RawClient.open({ port, path: "/echo" });
  client.write(text('{"do":"who"}'));
  expect(await client.text()).toBe('{"do":"who"}');
  expect(await paramsOf({ port, path: "/scripted/a" })).toEqual({ name: "a" });

  await echo.close({ drain: 0 });
  expect(await refusal({ port, path: "/echo" })).toBe(404);
  expect(await paramsOf({ port, path: "/scripted/b" })).toEqual({ name: "b" });
  await scripted.close({ drain: 0 });
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

it("leaves a request that offers another protocol to the server's own routes", async () => {
  const { server, port } = await startServer((_request, response) => response.end("served"));
  const { board } = await startBoard();
  board.attach(server, { path: "/ours" });
  const response = await fetchOffering("h2c", port, "/theirs");
  expect(response).toEqual({ status: 200, body: "served" });
  expect(await refusal({ port, path: "/ours", headers: { Upgrade: "h2c" } })).toBe(426);
});

it("leaves the server as it was when the last route is gone", async () => {
  const { server, port } = await startServer((_request, response) => response.end("served"));
  const { board } = await startBoard();
  board.attach(server, { path: "/ours" });
  await board.close();
  expect(await fetchOffering("websocket", port, "/ours")).toEqual({ status: 200, body: "served" });
});

/** What a client gets that asks for a resource and offers to upgrade on the way, as some do with every request. */
async function fetchOffering(protocol: string, port: number, path: string): Promise<{ status: number; body: string }> {
  const client = await RawClient.connect(port);
  client.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: ${protocol}\r\n\r\n`);
  const { status } = await client.response();
  const body = await client.rest();
  return { status, body: body.replace(/^[0-9a-f]+\r\n|\r\n.*$/gs, "") };
}
