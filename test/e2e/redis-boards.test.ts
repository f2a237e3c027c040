/** Two boards over one real Redis: publishes and positions cross between them, also over the death of Redis. */
import { expect, it, onTestFinished, vi } from "vitest";
import WebSocket from "ws";
import { redis } from "../../src/engines/redis/index.ts";
import { startBoard } from "../support/board.ts";
import { RedisServer } from "../support/redis-server.ts";

interface Said {
  readonly kind: "subscribed" | "publication" | "lost";
  readonly offset?: number;
  readonly text?: string;
  readonly recovered?: boolean;
  readonly position?: { readonly epoch: string; readonly offset: number };
}

/** A client that remembers what it was told. */
async function connect(port: number): Promise<{ said: Said[]; send(value: unknown): void; close(): void }> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`);
  onTestFinished(() => socket.terminate());
  const said: Said[] = [];
  socket.on("message", (data) => said.push(JSON.parse(String(data))));
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  return { said, send: (value) => socket.send(JSON.stringify(value)), close: () => socket.close() };
}

it("two boards share streams: a client resumes on the other board, and is told when Redis has lost its place", async () => {
  const server = await RedisServer.start();
  const engine = redis({ url: server.url, probeIntervalMs: 100, commandTimeoutMs: 1_500 });
  const options = { actor: "resuming", engine, topics: { "room:*": { history: { size: 100 } } } };
  const [one, other] = [await startBoard(options), await startBoard(options)];
  const [here, there] = [await connect(one.port), await connect(other.port)];
  const topic = "room:1";
  there.send({ subscribe: topic });
  await vi.waitFor(() => expect(there.said).toHaveLength(1));
  for (const data of ["a", "b", "c"]) here.send({ publish: topic, data });
  await vi.waitFor(() => expect(there.said).toHaveLength(4));
  expect(there.said.slice(1).map(({ offset, text }) => [offset, text])).toEqual([
    [1, "a"],
    [2, "b"],
    [3, "c"],
  ]);

  const back = await connect(one.port);
  back.send({ subscribe: topic, since: { ...there.said[0]?.position, offset: 1 } });
  await vi.waitFor(() => expect(back.said).toMatchObject([{ kind: "subscribed", recovered: true, missed: 2 }]));

  await server.kill();
  await server.start();
  for (const { said } of [there, back]) {
    await vi.waitFor(() => expect(said.at(-1)).toMatchObject({ kind: "lost", position: { offset: 0 } }));
  }
  there.send({ subscribe: topic });
  await vi.waitFor(() => expect(there.said.at(-1)?.kind).toBe("subscribed"));
  here.send({ publish: topic, data: "d" });
  await vi.waitFor(() => expect(there.said.at(-1)).toMatchObject({ kind: "publication", offset: 1, text: "d" }));
});

it("two boards share a topic without history, and a publish reaches each subscriber once", async () => {
  const server = await RedisServer.start();
  const options = { actor: "resuming", engine: redis({ url: server.url }) };
  const [one, other] = [await startBoard(options), await startBoard(options)];
  const publisher = await connect(one.port);
  const subscribers = [await connect(one.port), await connect(other.port)];
  for (const { send, said } of subscribers) {
    send({ subscribe: "plain" });
    await vi.waitFor(() => expect(said).toHaveLength(1));
  }
  let count = 0;
  const publish = (): void => {
    publisher.send({ publish: "plain", data: JSON.stringify({ kind: "publication", offset: ++count }) });
  };
  // The other board may still be on its way to Redis with what it wants.
  await vi.waitFor(() => {
    publish();
    expect(subscribers[1]?.said.length).toBeGreaterThan(1);
  });
  for (let more = 0; more < 3; more++) publish();
  for (const { said } of subscribers) {
    await vi.waitFor(() => expect(said.at(-1)?.offset).toBe(count));
    const offsets = said.slice(1).map(({ offset }) => offset ?? 0);
    expect(offsets).toEqual(offsets.map((_, index) => count - offsets.length + 1 + index));
  }
});

it("a client resumes on a topic with presence while Redis is out of memory, and is a member when there is room", async () => {
  const server = await RedisServer.start();
  const engine = redis({ url: server.url, presenceTtlMs: 2_000 });
  const topics = { "room:*": { history: { size: 100 }, presence: true as const } };
  const { board, port } = await startBoard({ actor: "resuming", engine, topics });
  const told: string[] = [];
  board.on("engineFull", ({ message }) => told.push(message));
  board.on("engineUp", () => told.push("up"));
  const topic = "room:1";
  const first = await connect(port);
  first.send({ subscribe: topic });
  await vi.waitFor(() => expect(first.said).toHaveLength(1));
  for (const text of ["a", "b"]) await board.publish(topic, text).stored;

  await server.command("CONFIG", "SET", "maxmemory", "1");
  const back = await connect(port);
  back.send({ subscribe: topic, since: { ...first.said[0]?.position, offset: 1 } });
  await vi.waitFor(() => expect(back.said).toMatchObject([{ kind: "subscribed", recovered: true, missed: 1 }]));
  await expect(board.publish(topic, "c").stored).rejects.toMatchObject({ code: "ERR_ENGINE_FULL" });
  await vi.waitFor(() => expect(told).toEqual([expect.stringContaining("Redis is out of memory")]));
  expect(board.health()).toMatchObject({ ok: true, engine: { status: "up", reason: told[0] } });
  expect(await board.presenceStats(topic)).toEqual({ connections: 1, users: 1 });

  await server.command("CONFIG", "SET", "maxmemory", "0");
  await vi.waitFor(async () => expect(await board.presenceStats(topic)).toEqual({ connections: 2, users: 2 }));
  await vi.waitFor(() => expect(told.slice(1)).toEqual(["up"]));
  expect(board.health().engine).toEqual({ name: "redis", status: "up" });
});
