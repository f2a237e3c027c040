import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { createMetrics } from "../../src/board/metrics/index.ts";
import { type PlacementFunction, Switchboard } from "../../src/index.ts";
import { actorUrl, startBoard } from "../support/board.ts";
import { close, text } from "../support/frames.ts";
import { listen as listenHttp2 } from "../support/http2-board.ts";
import { Http2Client, openSession } from "../support/http2-client.ts";
import { RawClient } from "../support/raw-client.ts";
import { ways } from "../support/ways.ts";

/** A board whose default actor echoes; its other actors follow orders, or show their request. */
const actors = {
  admin: actorUrl("authorizing"),
  shy: actorUrl("requesting"),
  scripted: actorUrl("scripted"),
};
const refused = { "X-Authorize": JSON.stringify({ gives: { status: 401 } }) };

async function ask(client: { write(bytes: Uint8Array): void; text(): Promise<string> }, order: string) {
  client.write(text(order));
  return client.text();
}

async function startAlone(): Promise<Switchboard> {
  const board = await Switchboard.start({ actor: actorUrl("echo"), actors, shards: 1, maxEventLoopDelayMs: 60_000 });
  onTestFinished(async () => void (await board.close({ timeoutMs: 0 })));
  return board;
}

const session = { role: "admin" };
const lets = () => ({ session });

describe.each(ways)("$name", ({ start, thread, accepted }) => {
  it("opens the actor of the route's module, with the headers that its class asks for", async () => {
    const { board, ask: handshake } = await start({ actors, attach: { path: "/shy", actor: "shy" } });
    const client = await handshake("/shy", { cookie: "a=1" });
    expect(client.status).toBe(accepted);
    client.write(text("?"));
    expect(JSON.parse(await client.text())).toMatchObject({ url: "/shy", headers: { cookie: "a=1" } });
    expect((await board.connections()).connections).toMatchObject([{ actor: "shy" }]);
  });

  it("asks the authorize of the route's module or of the route", async () => {
    const attach = { actor: "admin", ...(thread === "main" && { authorize: lets }) };
    const { ask: handshake } = await start({ actors, attach });
    const client = await handshake("/?token=t");
    client.write(text('{"do":"who"}'));
    const expected = thread === "main" ? session : { token: "t" };
    expect(JSON.parse(await client.text())).toMatchObject({ session: expected });
    if (thread === "shard") expect((await handshake("/", refused)).status).toBe(401);
  });

  it("opens the default actor on a route without a name", async () => {
    const { board, ask: handshake } = await start({ actors });
    const client = await handshake("/", refused);
    expect(client.status).toBe(accepted);
    client.write(text("hello"));
    expect(await client.text()).toBe("hello");
    const [connection] = (await board.connections()).connections;
    expect(connection).toMatchObject({ actor: undefined });
  });
});

it("serves two actors on two paths of one server", async () => {
  const board = await startAlone();
  const server = createServer();
  board.attach(server, { path: "/chat/:room" });
  board.attach(server, { path: "/admin", actor: "admin", authorize: lets });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const admin = await RawClient.open({ port, path: "/admin" });
  const chat = await RawClient.open({ port, path: "/chat/blue" });
  expect(JSON.parse(await ask(admin, '{"do":"who"}'))).toMatchObject({ session });
  expect(await ask(chat, '{"do":"who"}')).toBe('{"do":"who"}');
  const { connections } = await board.connections();
  expect(connections.map(({ actor, params }) => ({ actor, params }))).toEqual([
    { actor: "admin", params: {} },
    { actor: undefined, params: { room: "blue" } },
  ]);
});

it("serves two actors in one session of HTTP/2", async () => {
  const board = await startAlone();
  const server = createHttp2Server();
  board.attach(server, { path: "/chat" });
  board.attach(server, { path: "/admin", actor: "admin", authorize: lets });
  const peer = await openSession(`http://127.0.0.1:${await listenHttp2(server)}`);
  const admin = await Http2Client.open(peer, { ":path": "/admin" });
  const chat = await Http2Client.open(peer, { ":path": "/chat" });
  expect(JSON.parse(await ask(admin, '{"do":"who"}'))).toMatchObject({ session });
  expect(await ask(chat, "hello")).toBe("hello");
});

it("serves an actor on each port, with the handshakes in the shards", async () => {
  const { board, port } = await startBoard({ actors, shards: 2, attach: { handshake: "shard" } });
  const other = await board.listen({ port: 0, host: "127.0.0.1", actor: "admin" });
  const admin = await RawClient.open({ port: other.port, path: "/?token=t" });
  expect(JSON.parse(await ask(admin, '{"do":"who"}'))).toMatchObject({ session: { token: "t" } });
  await expect(RawClient.open({ port: other.port, headers: refused })).rejects.toThrow("401");
  expect(await ask(await RawClient.open({ port, headers: refused }), "hello")).toBe("hello");
});

it("refuses a route in the main thread without authorize if its module exports one, and only then", async () => {
  const board = await startAlone();
  const message = expect.stringContaining('the actor module "admin" exports authorize');
  const ignored = expect.objectContaining({ code: "ERR_AUTHORIZE_IGNORED", message });
  expect(() => board.attach(createServer(), { actor: "admin" })).toThrow(ignored);
  const listening = board.listen({ port: 0, host: "127.0.0.1", actor: "admin", handshake: "main" });
  await expect(listening).rejects.toThrow(ignored);
  board.attach(createServer(), { actor: "shy" });
  board.attach(createServer());
});

it("refuses a name that the board hasn't, in every call", async () => {
  const board = await startAlone();
  const unknown = (call: string) =>
    expect.objectContaining({
      code: "ERR_OPTION",
      message: `${call}: actor takes a name of the option actors of Switchboard.start, which has admin, shy, scripted, got "none"`,
    });
  const server = createServer();
  expect(() => board.attach(server, { actor: "none" })).toThrow(unknown("attach"));
  await expect(board.listen({ port: 0, actor: "none" })).rejects.toThrow(unknown("listen"));
  const asked = new Promise((resolve) => {
    server.on("upgrade", (request, socket, head) => {
      try {
        board.handleUpgrade(request, socket, head, { actor: "none" });
      } catch (error) {
        resolve(error);
        socket.destroy();
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const opening = RawClient.open({ port: (server.address() as AddressInfo).port });
  opening.catch(() => {});
  expect(await asked).toEqual(unknown("handleUpgrade"));
});

it("keeps all modules in a shard that is replaced", async () => {
  const { board, port } = await startBoard({ actors, attach: { handshake: "shard", actor: "admin" } });
  const main = await board.listen({ port: 0, host: "127.0.0.1", handshake: "main", actor: "shy" });
  const doomed = await RawClient.open({ port });
  const replaced = new Promise((resolve) => board.once("shardReplaced", resolve));
  doomed.write(text('{"do":"exit","code":1}'));
  await replaced;
  const admin = await RawClient.open({ port, path: "/?token=t" });
  expect(JSON.parse(await ask(admin, '{"do":"who"}'))).toMatchObject({ session: { token: "t" } });
  const shy = await RawClient.open({ port: main.port, headers: { Cookie: "a=1" } });
  expect(JSON.parse(await ask(shy, "?"))).toMatchObject({ headers: { cookie: "a=1" } });
});

it("publishes from an actor of one module to an actor of another", async () => {
  const board = await startAlone();
  const listening = { port: 0, host: "127.0.0.1" };
  const admin = await board.listen({ ...listening, actor: "admin" });
  const log = await RawClient.open({ port: admin.port });
  expect(await ask(log, '{"do":"subscribe","topic":"news"}')).toBe("subscribed news");
  const chat = await board.listen({ ...listening, actor: "scripted" });
  const author = await RawClient.open({ port: chat.port });
  author.write(text('{"do":"publish","topic":"news","data":"hello"}'));
  expect(await log.text()).toBe("hello");
});

it("rejects the start with the error of the module that can't be loaded, and its URL", async () => {
  const missing = actorUrl("no-such-actor");
  const starting = Switchboard.start({ actor: actorUrl("echo"), actors: { ...actors, missing }, shards: 1 });
  await expect(starting).rejects.toMatchObject({
    code: "ERR_MODULE_NOT_FOUND",
    message: expect.stringContaining(missing.href),
  });
});

describe("the name of the actor module", () => {
  it("stands in each event of a connection, and in the counts", async () => {
    const { board, port } = await startBoard({ actors, attach: { actor: "scripted" }, handlerTimeoutMs: 50 });
    const other = await board.listen({ port: 0, host: "127.0.0.1", handshake: "main" });
    const told: Record<string, unknown> = {};
    for (const name of ["actorFailed", "handlerTimedOut", "abnormalClosure"] as const) {
      board.on(name, ({ actor }) => {
        told[name] = actor;
      });
    }
    const plain = await RawClient.open({ port: other.port });
    const failing = await RawClient.open({ port });
    failing.write(text('{"do":"throw"}'));
    failing.write(close((await failing.closeFrame()).code));
    const slow = await RawClient.open({ port });
    slow.write(text('{"do":"wait","ms":60000}'));
    slow.write(close((await slow.closeFrame()).code));
    const gone = await RawClient.open({ port });
    gone.socket.destroy();
    const scripted = "scripted";
    const all = { actorFailed: scripted, handlerTimedOut: scripted, abnormalClosure: scripted };
    await vi.waitFor(() => expect(told).toEqual(all));
    await vi.waitFor(() => expect(board.stats().connections).toBe(1));
    const zero = { connections: 0, connectionsOpened: 0, failures: 0, handlerTimeouts: 0 };
    expect(board.stats().shards[0]?.byActor).toEqual([
      { ...zero, actor: undefined, connections: 1, connectionsOpened: 1 },
      { ...zero, actor: "admin" },
      { ...zero, actor: "shy" },
      { ...zero, actor: scripted, connectionsOpened: 3, failures: 2, handlerTimeouts: 1 },
    ]);
    const shown = await createMetrics(board).text();
    for (const line of [
      'connections{shard="0",actor=""} 1',
      'connections_opened_total{shard="0",actor="scripted"} 3',
      'failures_total{shard="0",actor="scripted"} 2',
      'handler_timeouts_total{shard="0",actor="scripted"} 1',
    ]) {
      expect(shown).toContain(`switchboard_actor_module_${line}\n`);
    }
    await plain.close();
  });

  it("is given to the placement and to stickyBy", async () => {
    const placement = vi.fn<PlacementFunction>((_request, _candidates, _params, actor) =>
      actor === "scripted" ? 1 : 0,
    );
    const { board, port } = await startBoard({ actors, shards: 2, placement, attach: { actor: "scripted" } });
    const other = await board.listen({ port: 0, host: "127.0.0.1" });
    for (const one of [port, other.port]) await RawClient.open({ port: one });
    expect(placement.mock.calls.map(([, , , actor]) => actor)).toEqual(["scripted", undefined]);
    const { connections } = await board.connections();
    expect(connections.map(({ shard, actor }) => [shard, actor])).toEqual([
      [0, undefined],
      [1, "scripted"],
    ]);
    const stickyBy = vi.fn(() => "key");
    const sticky = await startBoard({ actors, placement: { stickyBy }, attach: { actor: "scripted", path: "/a" } });
    await RawClient.open({ port: sticky.port, path: "/a" });
    expect(stickyBy).toHaveBeenCalledWith(expect.anything(), {}, "scripted");
  });
});
