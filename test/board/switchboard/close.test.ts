import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Worker } from "node:worker_threads";
import { expect, it, onTestFinished, vi } from "vitest";
import { type Address, memory, Switchboard } from "../../../src/index.ts";
import { actorUrl, startBoard } from "../../support/board.ts";
import { close, text } from "../../support/frames.ts";
import { RawClient, upgradeRequest } from "../../support/raw-client.ts";

/** Answers the close handshake that the server begins. */
async function answerClose(client: RawClient): Promise<{ code: number | undefined; reason: string }> {
  const said = await client.closeFrame();
  client.write(close(said.code));
  client.socket.end();
  await client.closed();
  return said;
}

async function startServer(): Promise<{ server: Server; port: number }> {
  const server = createServer((_request, response) => response.end("hello"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { server, port: (server.address() as AddressInfo).port };
}

const goingAway = { code: 1001, reason: "server is going away" };

it("closes every connection with 1001 and resolves with their number", async () => {
  const { board, port } = await startBoard({ shards: 2 });
  const clients = await Promise.all(Array.from({ length: 10 }, () => RawClient.open({ port })));
  const closing = board.close({ timeoutMs: 20_000 });
  expect(await Promise.all(clients.map(answerClose))).toEqual(clients.map(() => goingAway));
  expect(await closing).toEqual({ closed: 10, dropped: 0, cut: 0 });
});

it("closes with a code and a reason of a protocol of one's own", async () => {
  const { board, port } = await startBoard();
  const client = await RawClient.open({ port });
  const closing = board.close({ timeoutMs: 20_000, code: 3001, reason: "shutdown" });
  expect(await answerClose(client)).toEqual({ code: 3001, reason: "shutdown" });
  expect(await closing).toEqual({ closed: 1, dropped: 0, cut: 0 });
});

it("resolves with zeros when there are no connections", async () => {
  const { board } = await startBoard({ shards: 2 });
  expect(await board.close()).toEqual({ closed: 0, dropped: 0, cut: 0 });
});

it("tells the actor of a connection that it closed with 1001, before the thread ends", async () => {
  const { board, port } = await startBoard({ actor: "scripted", shards: 2 });
  const [client, listener] = [await RawClient.open({ port }), await RawClient.open({ port })];
  client.write(text('{"do":"who"}'));
  const { id } = JSON.parse(await client.text());
  // Both subscribe, so that whichever closes last hears of the other.
  for (const one of [client, listener]) {
    one.write(text('{"do":"subscribe","topic":"log"}'));
    expect(await one.text()).toBe("subscribed log");
  }
  client.write(close(4000, "mine"));
  expect(await client.closeFrame()).toEqual({ code: 4000, reason: "mine" });
  expect(await listener.text()).toBe(`closed ${id} 4000 mine`);
  const closing = board.close({ timeoutMs: 20_000 });
  expect(await answerClose(listener)).toEqual(goingAway);
  await closing;
});

it("drops peers that don't answer before the deadline", async () => {
  const { board, port } = await startBoard({ shards: 2 });
  const [polite, silent] = [await RawClient.open({ port }), await RawClient.open({ port })];
  const closing = board.close({ timeoutMs: 2_500 });
  expect(await answerClose(polite)).toEqual(goingAway);
  expect(await silent.closeFrame()).toEqual(goingAway);
  expect(await closing).toEqual({ closed: 1, dropped: 1, cut: 0 });
  await silent.closed();
});

it("counts a peer that never answered as dropped, even if its close handshake timed out before the board's close", async () => {
  const { board, port } = await startBoard({ closeTimeoutMs: 50 });
  const silent = await RawClient.open({ port });
  expect(await board.close({ timeoutMs: 20_000 })).toEqual({ closed: 0, dropped: 1, cut: 0 });
  expect(await silent.closeFrame()).toEqual(goingAway);
  await silent.closed();
});

it("drops all connections at once with timeoutMs: 0", async () => {
  const { board, port } = await startBoard();
  const clients = await Promise.all(Array.from({ length: 5 }, () => RawClient.open({ port })));
  expect(await board.close({ timeoutMs: 0 })).toEqual({ closed: 0, dropped: 5, cut: 0 });
  for (const client of clients) await client.closed();
});

it("answers new upgrades on an attached server with 503 while it closes, and refuses connections to its own port", async () => {
  const { board, port } = await startBoard();
  const server = await startServer();
  board.attach(server.server);
  const slow = await RawClient.open({ port });
  const closing = board.close({ timeoutMs: 20_000 });
  expect(await slow.closeFrame()).toEqual(goingAway);
  const late = await RawClient.connect(server.port);
  late.write(upgradeRequest());
  expect(await late.response()).toMatchObject({ status: 503, headers: { "retry-after": "1" } });
  await late.closed();
  await expect(RawClient.connect(port)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  slow.write(close(1001));
  slow.socket.end();
  expect(await closing).toEqual({ closed: 1, dropped: 0, cut: 0 });
  expect(board.stats().upgrades.refused).toEqual({ 503: 1 });
});

it("isn't ready from the start of the readiness delay on, and accepts upgrades until the end of that delay", async () => {
  const { board, port } = await startBoard();
  const readyWhenClosing = new Promise<boolean>((resolve) => board.once("closing", () => resolve(board.ready)));
  const closed = new Promise((resolve) => board.once("closed", resolve));
  expect(board.ready).toBe(true);
  const closing = board.close({ timeoutMs: 20_000, readinessDelayMs: 5_000 });
  expect(board.ready).toBe(false);
  expect(await readyWhenClosing).toBe(false);
  const late = await RawClient.open({ port });
  late.write(text("hello"));
  expect(await late.text()).toBe("hello");
  expect(board.stats().shards[0]).toMatchObject({ state: "ready" });
  expect(await late.closeFrame()).toEqual(goingAway);
  expect(board.stats().shards[0]).toMatchObject({ state: "closing" });
  late.write(close(1001));
  late.socket.end();
  expect(await closing).toEqual({ closed: 1, dropped: 0, cut: 0 });
  expect(await closed).toEqual({ closed: 1, dropped: 0, cut: 0 });
  expect(board.stats().shards[0]).toMatchObject({ state: "closed" });
});

it("closes even if a listener of its events throws", async () => {
  const { board } = await startBoard();
  const uncaught = vi.fn();
  const own = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", uncaught);
  onTestFinished(() => {
    process.off("uncaughtException", uncaught);
    for (const listener of own) process.on("uncaughtException", listener);
  });
  board.on("closing", () => {
    throw new Error("not ready to drain");
  });
  expect(await board.close()).toEqual({ closed: 0, dropped: 0, cut: 0 });
  expect(uncaught.mock.calls[0]?.[0]).toMatchObject({ message: "not ready to drain" });
});

it.each([
  { options: { code: 1012 }, frame: { code: 1012, reason: "server is restarting" } },
  { options: { code: 1001, reason: "see you" }, frame: { code: 1001, reason: "see you" } },
  { options: { code: 1012, reason: "" }, frame: { code: 1012, reason: "" } },
] as const)("tells peers $options", async ({ options, frame }) => {
  const { board, port } = await startBoard();
  const client = await RawClient.open({ port });
  const closing = board.close({ timeoutMs: 20_000, ...options });
  expect(await answerClose(client)).toEqual(frame);
  expect(await closing).toEqual({ closed: 1, dropped: 0, cut: 0 });
});

it("closes in batches over all shards when there are more connections than fit in one", async () => {
  const { board, port } = await startBoard({ shards: 2 });
  const clients: RawClient[] = [];
  for (let i = 0; i < 6; i++) clients.push(await RawClient.open({ port }));
  const startedAt = performance.now();
  const closing = board.close({ timeoutMs: 20_000, batchSize: 2, batchIntervalMs: 300 });
  const closedAt = await Promise.all(clients.map((client) => answerClose(client).then(() => performance.now())));
  expect(await closing).toEqual({ closed: 6, dropped: 0, cut: 0 });
  const [, , third = 0, , fifth = 0] = closedAt.toSorted((a, b) => a - b);
  // Timers are never early by more than a millisecond, and a busy machine may be late.
  expect(third - startedAt).toBeGreaterThan(300 - 2);
  expect(fifth - startedAt).toBeGreaterThan(600 - 3);
});

it("drops the connections that no batch has reached at the deadline", async () => {
  const { board, port } = await startBoard();
  const clients: RawClient[] = [];
  for (let i = 0; i < 3; i++) clients.push(await RawClient.open({ port }));
  const closing = board.close({ timeoutMs: 2_500, batchSize: 1, batchIntervalMs: 60_000 });
  const [first, ...others] = clients;
  expect(first && (await answerClose(first))).toEqual(goingAway);
  for (const other of others) expect(await other.rest()).toBe("");
  expect(await closing).toEqual({ closed: 1, dropped: 2, cut: 0 });
});

/** A board of actors that part, with a gate that they hold at. */
async function startShuttingDown() {
  const gate = new SharedArrayBuffer(4);
  const authorize = () => ({ session: { gate } });
  const started = await startBoard({ actor: "shutting-down", attach: { authorize } });
  const openGate = (): void => {
    Atomics.store(new Int32Array(gate), 0, 1);
    Atomics.notify(new Int32Array(gate), 0);
  };
  return { ...started, openGate };
}

it("closes a connection when its actor's shuttingDown is done", async () => {
  const { board, port } = await startShuttingDown();
  const client = await RawClient.open({ port });
  const closing = board.close({ timeoutMs: 20_000 });
  for (const said of ["shuttingDown", "still open", "drained sent"]) expect(await client.text()).toBe(said);
  expect(await answerClose(client)).toEqual(goingAway);
  expect(await closing).toEqual({ closed: 1, dropped: 0, cut: 0 });
});

it("calls shuttingDown of a busy actor when the running handler is done, before the messages that wait", async () => {
  const { board, port, openGate } = await startShuttingDown();
  const [busy, free] = [await RawClient.open({ port }), await RawClient.open({ port })];
  busy.write(Buffer.concat([text("hold"), text("waits")]));
  free.write(text("hello"));
  expect(await free.text()).toBe("hello");
  const closing = board.close({ timeoutMs: 20_000 });
  for (let i = 0; i < 3; i++) await free.text();
  expect(await answerClose(free)).toEqual(goingAway);
  openGate();
  for (const said of ["hold", "shuttingDown", "still open", "drained sent"]) expect(await busy.text()).toBe(said);
  expect(await answerClose(busy)).toEqual(goingAway);
  expect(await closing).toEqual({ closed: 2, dropped: 0, cut: 0 });
});

it("drops a connection at the deadline if its actor never gets to shuttingDown", async () => {
  const { board, port } = await startShuttingDown();
  const client = await RawClient.open({ port });
  client.write(text("hold"));
  await vi.waitFor(() => expect(board.stats().shards[0]).toMatchObject({ messagesReceived: 1 }));
  expect(await board.close({ timeoutMs: 300 })).toEqual({ closed: 0, dropped: 1, cut: 1 });
  expect(await client.rest()).toBe("");
});

it("closes with 1011 and reports an actor that fails in shuttingDown", async () => {
  const { board, port } = await startShuttingDown();
  const failed = new Promise((resolve) => board.once("actorFailed", resolve));
  const client = await RawClient.open({ port });
  client.write(text("fail"));
  expect(await client.text()).toBe("fail");
  const closing = board.close({ timeoutMs: 20_000 });
  expect(await answerClose(client)).toEqual({ code: 1011, reason: "internal error" });
  expect(await failed).toMatchObject({ handler: "shuttingDown", error: { message: "failed while shuttingDown" } });
  expect(await closing).toEqual({ closed: 1, dropped: 0, cut: 0 });
});

it("answers a handshake whose authorize is pending with 503, without waiting for it", async () => {
  const called = Promise.withResolvers<void>();
  const authorize = (): Promise<never> => {
    called.resolve();
    return new Promise(() => {});
  };
  const { board, port } = await startBoard({ attach: { authorize } });
  const client = await RawClient.connect(port);
  client.write(upgradeRequest());
  await called.promise;
  expect(await board.close({ timeoutMs: 20_000 })).toEqual({ closed: 0, dropped: 0, cut: 0 });
  expect((await client.response()).status).toBe(503);
});

it("returns the result of the first call to a second call", async () => {
  const { board, port } = await startBoard();
  const client = await RawClient.open({ port });
  const first = board.close({ timeoutMs: 20_000 });
  const second = board.close({ timeoutMs: 0 });
  await answerClose(client);
  expect(await first).toEqual({ closed: 1, dropped: 0, cut: 0 });
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
  await board.close({ timeoutMs: 0 });
  await vi.waitFor(() => expect(alive).toBe(0));
});

it("stops listening on its own port, and drops idle HTTP connections", async () => {
  const { board, port } = await startBoard();
  const idle = await RawClient.connect(port);
  await board.close({ timeoutMs: 0 });
  await idle.closed();
  await expect(RawClient.connect(port)).rejects.toMatchObject({ code: "ECONNREFUSED" });
});

it("leaves an attached server running, without the board's listeners", async () => {
  const { server, port } = await startServer();
  const board = await Switchboard.start({ actor: actorUrl("echo"), shards: 1 });
  board.attach(server, { path: "/chat" });
  await RawClient.open({ port, path: "/chat" });
  expect(await board.close({ timeoutMs: 0 })).toEqual({ closed: 0, dropped: 1, cut: 0 });
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("hello");
  expect(server.listening).toBe(true);
  expect(server.listenerCount("upgrade")).toBe(0);
});

it("rejects attach, listen and handleUpgrade afterwards, and makes publish harmless", async () => {
  const { board } = await startBoard();
  await board.close();
  const error = expect.objectContaining({ kind: "closed", code: "ERR_CLOSED" });
  expect(() => board.attach(createServer())).toThrow(error);
  await expect(board.listen({ port: 0 })).rejects.toEqual(error);
  expect(() => board.publish("news", "to nobody")).not.toThrow();
  expect(board.stats()).toMatchObject({ connections: 0 });
});

it("closes while a lost shard waits for its replacement, and starts no replacement", async () => {
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
  expect(await board.close({ timeoutMs: 0 })).toEqual({ closed: 0, dropped: 0, cut: 0 });
  expect(replaced).not.toHaveBeenCalled();
  await vi.waitFor(() => expect(started.every(({ threadId }) => threadId === -1)).toBe(true));
});

it.for([0, 20_000])(
  "ends an engine that doesn't stop, at most a second after the shards, with timeoutMs: %i",
  async (timeoutMs) => {
    const module = new URL("../../support/engines/unstoppable.ts", import.meta.url).href;
    const { board } = await startBoard({ engine: { name: "unstoppable", module, options: {} } });
    const events: string[] = [];
    for (const name of ["engineDown", "engineLost"] as const) board.on(name, () => events.push(name));
    const before = performance.now();
    await board.close({ timeoutMs });
    // A second, and what a busy machine adds. An engine that isn't ended never stops, or takes all of timeoutMs.
    expect(performance.now() - before).toBeLessThan(15_000);
    expect(events).toEqual([]);
  },
);

it("takes the time for sockets on their way to a shard out of timeoutMs", async () => {
  const authorize = vi.fn(() => ({ session: {} }));
  const { board, port } = await startBoard({ actor: "scripted", attach: { authorize } });
  const [client, late] = [await RawClient.open({ port }), await RawClient.connect(port)];
  client.write(text(JSON.stringify({ do: "block", ms: 60_000 })));
  await vi.waitFor(() => expect(board.stats().shards[0]?.messagesReceived).toBe(1));
  late.write(upgradeRequest());
  await vi.waitFor(() => expect(authorize).toHaveBeenCalledTimes(2));
  const timeoutMs = 4_000;
  const before = performance.now();
  await board.close({ timeoutMs });
  // 1 s of grace for the blocked shard, and what a busy machine adds. Counted twice, the time would be 9 s.
  expect(performance.now() - before).toBeLessThan(2 * timeoutMs);
});

it("answers calls about connections, mail and plain topics while it closes and after it, as its README says", async () => {
  const { board, port } = await startBoard({ actor: "mailing" });
  const client = await RawClient.open({ port });
  client.write(text('{"do":"address"}'));
  const address = (await client.text()) as Address;
  const closing = board.close({ timeoutMs: 20_000 });
  expect(await client.closeFrame()).toEqual(goingAway);
  expect((await board.connections()).connections.map((one) => one.address)).toEqual([address]);
  expect(await board.disconnect(address)).toBe(false);
  client.write(close(1001));
  client.socket.end();
  await closing;
  const error = { kind: "closed", code: "ERR_CLOSED" };
  await expect(board.connections()).rejects.toMatchObject(error);
  await expect(board.disconnect(address)).rejects.toMatchObject(error);
  await expect(board.survey("late")).rejects.toMatchObject(error);
  await expect(board.connections({ limit: 0 })).rejects.toMatchObject({ code: "ERR_OPTION" });
  expect(await board.tell(address, "late")).toEqual({ status: "gone", mail: "late" });
  await expect(board.ask(address, "late")).rejects.toMatchObject({ code: "ERR_ASK_GONE" });
  expect(board.publish("news", "late")).toMatchObject({ delivered: 0, remote: 0 });
  expect(board.nodes()).toMatchObject([{ isSelf: true, connections: 0 }]);
  expect([board.ready, board.health()]).toEqual([false, { ok: false, ready: false, engine: undefined }]);
});

it("waits for a request under way in a server that listen was given: the request may still publish to a stream", async () => {
  const { board, port } = await startBoard({ topics: { chat: { history: { size: 10 } } } });
  const client = await RawClient.open({ port });
  const begun = Promise.withResolvers<void>();
  const server = createServer(async (_request, response) => {
    begun.resolve();
    await client.closed();
    try {
      // The board has nothing left but this request: without it the engine would end within these publishes.
      for (let i = 0; i < 500; i++) await board.publish("chat", "late").stored;
      response.end("stored");
    } catch (error) {
      response.end(String(error));
    }
  });
  const { port: httpPort } = (await board.listen(server, { port: 0, host: "127.0.0.1" })) as AddressInfo;
  const answer = fetch(`http://127.0.0.1:${httpPort}`);
  await begun.promise;
  server.close();
  const closing = board.close({ timeoutMs: 60_000 });
  await answerClose(client);
  expect(await (await answer).text()).toBe("stored");
  await closing;
});

it("rejects calls on streams after it with ERR_CLOSED, and health() says that the board is closed", async () => {
  const topics = { chat: { history: { size: 10 }, presence: true } };
  const { board } = await startBoard({ topics });
  const events: string[] = [];
  for (const name of ["engineDown", "engineLost", "engineUp"] as const) board.on(name, () => events.push(name));
  await board.publish("chat", "before").stored;
  await board.close();
  const calls = [
    board.publish("chat", "after").stored,
    board.publish("chat", "after", { idempotencyKey: "1" }).stored,
    board.history("chat"),
    board.removeHistory("chat"),
    board.presence("chat"),
    board.presenceStats("chat"),
  ];
  for (const call of calls) await expect(call).rejects.toMatchObject({ code: "ERR_CLOSED" });
  const engine = { name: "memory", status: "down", reason: "the board is closed" };
  expect(board.health()).toEqual({ ok: false, ready: false, engine });
  expect(board.stats().engine).toMatchObject(engine);
  expect(events).toEqual([]);
});

it("waits for the engine's answers to what the board has published", async () => {
  const module = new URL("../../support/engines/late.ts", import.meta.url).href;
  const { board } = await startBoard({ engine: { ...memory(), module }, topics: { t: { history: { size: 10 } } } });
  const stored = ["a", "b", "c"].map((message) => board.publish("t", message).stored);
  const closing = board.close({ timeoutMs: 20_000 });
  const offsets = (await Promise.all(stored)).map((publication) => publication?.position.offset);
  expect(offsets).toEqual([1, 2, 3]);
  await closing;
});
