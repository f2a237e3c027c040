import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Worker } from "node:worker_threads";
import { expect, it, onTestFinished, vi } from "vitest";
import { Switchboard } from "../../src/index.ts";
import { actorUrl, startBoard } from "../support/board.ts";
import { close, text } from "../support/frames.ts";
import { RawClient, upgradeRequest } from "../support/raw-client.ts";

/** Answers the close handshake that the server begins. */
async function answerClose(client: RawClient): Promise<{ code: number | undefined; reason: string }> {
  const said = await client.closeFrame();
  client.write(close(said.code));
  client.socket.end();
  await client.closed();
  return said;
}

const goingAway = { code: 1001, reason: "server is going away" };

it("closes every connection with 1001 and resolves with their number", async () => {
  const { board, port } = await startBoard({ shards: 2 });
  const clients = await Promise.all(Array.from({ length: 10 }, () => RawClient.open({ port })));
  const closing = board.close({ drain: 20_000 });
  expect(await Promise.all(clients.map(answerClose))).toEqual(clients.map(() => goingAway));
  expect(await closing).toEqual({ closed: 10, dropped: 0 });
});

it("resolves with zeros when there are no connections", async () => {
  const { board } = await startBoard({ shards: 2 });
  expect(await board.close()).toEqual({ closed: 0, dropped: 0 });
});

it("tells the actor of a connection that it closed with 1001, before the thread ends", async () => {
  const { board, port } = await startBoard({ actor: "scripted", shards: 2 });
  const [client, listener] = [await RawClient.open({ port }), await RawClient.open({ port })];
  client.write(text('{"do":"who"}'));
  const { id } = JSON.parse(await client.text());
  // Both subscribe, so that whichever is last to close hears of the other.
  for (const one of [client, listener]) {
    one.write(text('{"do":"subscribe","topic":"log"}'));
    expect(await one.text()).toBe("subscribed log");
  }
  client.write(close(4000, "mine"));
  expect(await client.closeFrame()).toEqual({ code: 4000, reason: "mine" });
  expect(await listener.text()).toBe(`closed ${id} 4000 mine`);
  const closing = board.close({ drain: 20_000 });
  expect(await answerClose(listener)).toEqual(goingAway);
  await closing;
});

it("drops peers that don't answer when the time is up", async () => {
  const { board, port } = await startBoard({ shards: 2 });
  const [polite, silent] = [await RawClient.open({ port }), await RawClient.open({ port })];
  const closing = board.close({ drain: 300 });
  expect(await answerClose(polite)).toEqual(goingAway);
  expect(await silent.closeFrame()).toEqual(goingAway);
  expect(await closing).toEqual({ closed: 1, dropped: 1 });
  await silent.closed();
});

it("counts a peer that never answered as dropped, also when its close handshake timed out before the drain", async () => {
  const { board, port } = await startBoard({ closeTimeoutMs: 50 });
  const silent = await RawClient.open({ port });
  expect(await board.close({ drain: 20_000 })).toEqual({ closed: 0, dropped: 1 });
  expect(await silent.closeFrame()).toEqual(goingAway);
  await silent.closed();
});

it("drops everybody at once when it is given no time", async () => {
  const { board, port } = await startBoard();
  const clients = await Promise.all(Array.from({ length: 5 }, () => RawClient.open({ port })));
  expect(await board.close({ drain: 0 })).toEqual({ closed: 0, dropped: 5 });
  for (const client of clients) await client.closed();
});

it("answers new upgrades with 503 while it drains", async () => {
  const { board, port } = await startBoard();
  const slow = await RawClient.open({ port });
  const closing = board.close({ drain: 20_000 });
  const late = await RawClient.connect(port);
  late.write(upgradeRequest());
  expect((await late.response()).status).toBe(503);
  await late.closed();
  expect(await answerClose(slow)).toEqual(goingAway);
  expect(await closing).toEqual({ closed: 1, dropped: 0 });
  expect(board.stats().upgrades.refused).toEqual({ 503: 1 });
});

it("answers a handshake whose authorize is still deciding with 503, and doesn't wait for it", async () => {
  const called = Promise.withResolvers<void>();
  const authorize = (): Promise<never> => {
    called.resolve();
    return new Promise(() => {});
  };
  const { board, port } = await startBoard({ attach: { authorize } });
  const client = await RawClient.connect(port);
  client.write(upgradeRequest());
  await called.promise;
  expect(await board.close({ drain: 20_000 })).toEqual({ closed: 0, dropped: 0 });
  expect((await client.response()).status).toBe(503);
});

it("gives a second call the result of the first", async () => {
  const { board, port } = await startBoard();
  const client = await RawClient.open({ port });
  const first = board.close({ drain: 20_000 });
  const second = board.close({ drain: 0 });
  await answerClose(client);
  expect(await first).toEqual({ closed: 1, dropped: 0 });
  expect(await second).toEqual(await first);
  expect(await board.close()).toEqual(await first);
});

it("ends the threads that it started", async () => {
  let alive = 0;
  const countWorker = (worker: Worker): void => {
    alive++;
    worker.once("exit", () => alive--);
  };
  process.on("worker", countWorker);
  onTestFinished(() => void process.off("worker", countWorker));
  const { board, port } = await startBoard({ shards: 3 });
  await RawClient.open({ port });
  expect(alive).toBe(3);
  await board.close({ drain: 0 });
  await vi.waitFor(() => expect(alive).toBe(0));
});

it("stops listening on its own port, and drops idle HTTP connections", async () => {
  const { board, port } = await startBoard();
  const idle = await RawClient.connect(port);
  await board.close({ drain: 0 });
  await idle.closed();
  await expect(RawClient.connect(port)).rejects.toMatchObject({ code: "ECONNREFUSED" });
});

it("leaves an attached server as it was: serving, without listeners of ours", async () => {
  const server = createServer((_request, response) => response.end("hello"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const board = await Switchboard.start({ actor: actorUrl("echo"), shards: 1 });
  board.attach(server, { path: "/chat" });
  await RawClient.open({ port, path: "/chat" });
  expect(await board.close({ drain: 0 })).toEqual({ closed: 0, dropped: 1 });
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("hello");
  expect(server.listening).toBe(true);
  expect(server.listenerCount("upgrade")).toBe(0);
});

it("can't be attached, listen or take upgrades any more, and publishing is harmless", async () => {
  const { board } = await startBoard();
  await board.close();
  const error = expect.objectContaining({ kind: "closed", code: "ERR_CLOSED" });
  expect(() => board.attach(createServer())).toThrow(error);
  await expect(board.listen({ port: 0 })).rejects.toEqual(error);
  expect(() => board.publish("news", "to nobody")).not.toThrow();
  expect(board.stats()).toMatchObject({ connections: 0 });
});

it("closes while a lost shard waits for its replacement, and starts no other", async () => {
  const started: Worker[] = [];
  const countWorker = (worker: Worker): void => void started.push(worker);
  process.on("worker", countWorker);
  onTestFinished(() => void process.off("worker", countWorker));
  const { board, port } = await startBoard({ actor: "scripted" });
  const replaced = vi.fn();
  board.on("shardReplaced", replaced);
  const lost = new Promise((resolve) => board.once("shardLost", resolve));
  (await RawClient.open({ port })).write(text('{"do":"exit"}'));
  await lost;
  expect(await board.close({ drain: 0 })).toEqual({ closed: 0, dropped: 0 });
  expect(replaced).not.toHaveBeenCalled();
  await vi.waitFor(() => expect(started.every(({ threadId }) => threadId === -1)).toBe(true));
});
