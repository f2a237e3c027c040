import { expect, it, vi } from "vitest";
import type { Stats, Switchboard } from "../../../src/index.ts";
import { startBoard } from "../../support/board.ts";
import { binary, clientFrame, text } from "../../support/frames.ts";
import { RawClient } from "../../support/raw-client.ts";
import { missingUring } from "../../wire/native/availability.ts";

const zeros = {
  connections: 0,
  actors: 0,
  handshakes: 0,
  acceptedHere: 0,
  departed: 0,
  eventLoopDelayMs: expect.any(Number),
  connectionsOpened: 0,
  movedIn: 0,
  movedOut: 0,
  movesFailed: 0,
  recycled: 0,
  messagesReceived: 0,
  bytesReceived: 0,
  messagesSent: 0,
  bytesSent: 0,
  publishes: 0,
  deliveries: 0,
  publishesDropped: 0,
  publishesFailed: 0,
  subscriptionsBehind: 0,
  subscriptionsLost: 0,
  subscriptionsNotResumed: 0,
  subscriptionsRefused: 0,
  reportsRefused: 0,
  actorFailures: 0,
  handlerTimeouts: 0,
  deadLetters: 0,
  acceptsFailed: 0,
  handoffsFailed: 0,
  violations: 0,
  slowConsumersClosed: 0,
  droppedNewest: 0,
  droppedOldest: 0,
  conflated: 0,
  rateLimited: 0,
  abnormalClosures: 0,
  byActor: [{ actor: undefined, connections: 0, connectionsOpened: 0, failures: 0, handlerTimeouts: 0 }],
  closes: {},
  handoff: expect.objectContaining({ count: 0, sum: 0 }),
  busLag: expect.objectContaining({ count: 0, sum: 0 }),
  // Shards measure the following once a second, and may have done so already.
  bufferedBytes: 0,
  mailboxHighWater: 0,
  eventLoopUtilization: expect.any(Number),
  heapUsedBytes: expect.any(Number),
  memoryBytes: expect.any(Number),
};

function shardOf(board: Switchboard): Stats["shards"][number] | undefined {
  return board.stats().shards[0];
}

it("is all zeros at the start, with every shard ready", async () => {
  const { board } = await startBoard({ shards: 2, sockets: "auto" });
  expect(board.stats()).toEqual({
    connections: 0,
    upgrades: { accepted: 0, refused: {}, abandoned: 0, timedOut: 0, failed: 0, passedOn: 0 },
    publishesDropped: 0,
    publishesFailed: 0,
    engine: undefined,
    deadLetters: 0,
    acceptsFailed: 0,
    sockets: { kind: "node", reason: "the default" },
    shards: [0, 1].map((shard) => ({ shard, state: "ready", ready: true, failed: false, ...zeros })),
  });
});

it("counts connections that are open and that were ever opened, in all and by shard", async () => {
  const { board, port } = await startBoard({ shards: 2 });
  const clients = [];
  for (let i = 0; i < 4; i++) clients.push(await RawClient.open({ port }));
  expect(board.stats()).toMatchObject({ connections: 4, upgrades: { accepted: 4 } });
  for (const client of clients) await client.close();
  await vi.waitFor(() => expect(board.stats().connections).toBe(0));
  expect(board.stats().shards.map(({ connectionsOpened }) => connectionsOpened)).toEqual([2, 2]);
  expect(board.stats().upgrades.accepted).toBe(4);
});

it("counts messages and their bytes on the wire, in both directions", async () => {
  const { board, port } = await startBoard();
  const client = await RawClient.open({ port });
  const sent = [text("hello"), binary(Buffer.alloc(1_000))];
  for (const frame of sent) {
    client.write(frame);
    await client.frame();
  }
  expect(shardOf(board)).toMatchObject({
    messagesReceived: 2,
    bytesReceived: sent.reduce((sum, { length }) => sum + length, 0),
    messagesSent: 2,
    bytesSent: 7 + 1_004,
  });
});

it("counts publishes of actors, and deliveries of all publishes", async () => {
  const { board, port } = await startBoard({ actor: "scripted" });
  const [one, other] = [await RawClient.open({ port }), await RawClient.open({ port })];
  for (const client of [one, other]) {
    client.write(text('{"do":"subscribe","topic":"news"}'));
    await client.text();
  }
  const before = shardOf(board)?.publishes ?? 0;
  one.write(text('{"do":"publish","topic":"news","data":"from one"}'));
  expect(await other.text()).toBe("from one");
  board.publish("news", "from the board");
  for (const client of [one, other]) expect(await client.text()).toBe("from the board");
  expect(shardOf(board)).toMatchObject({ publishes: before + 1, deliveries: 3 });
});

it("counts peers that break the protocol", async () => {
  const { board, port } = await startBoard();
  const client = await RawClient.open({ port });
  client.write(clientFrame(0x3, "reserved"));
  expect(await client.closeFrame()).toMatchObject({ code: 1002 });
  expect(shardOf(board)).toMatchObject({ violations: 1, abnormalClosures: 0 });
});

it("counts closed connections by code", async () => {
  const { board, port } = await startBoard();
  for (const code of [1000, 4321]) await (await RawClient.open({ port })).close(code);
  const vanishing = await RawClient.open({ port });
  vanishing.reset();
  await vi.waitFor(() => expect(shardOf(board)).toMatchObject({ closes: { 1000: 1, "4xxx": 1, 1006: 1 } }));
});

const KINDS = (["node", "uring", "relay"] as const)
  .filter((kind) => kind !== "uring" || missingUring === undefined)
  .map((sockets) => ({ sockets }));

it.each(KINDS)(
  "says that no byte waits any more once a connection whose peer didn't read has ended: $sockets",
  async ({ sockets }) => {
    const limits = { maxBufferedBytes: 64 * 1024 * 1024, slowConsumerPolicy: "dropNewest" } as const;
    const { board, port } = await startBoard({ actor: "flooding", sockets, ...limits });
    const client = await RawClient.open({ port });
    client.socket.pause();
    client.write(text(JSON.stringify({ do: "send", count: 32, bytes: 1024 * 1024 })));
    await vi.waitFor(() => expect(shardOf(board)?.bufferedBytes).toBeGreaterThan(0), 20_000);
    client.reset();
    await vi.waitFor(() => expect(shardOf(board)).toMatchObject({ connections: 0, bufferedBytes: 0 }), 20_000);
  },
);

it("says that no byte waits in a shard that has ended", async () => {
  const { board, port } = await startBoard({ actor: "flooding", maxBufferedBytes: 64 * 1024 * 1024 });
  const client = await RawClient.open({ port });
  client.socket.pause();
  client.write(text(JSON.stringify({ do: "send", count: 32, bytes: 1024 * 1024 })));
  await vi.waitFor(() => expect(shardOf(board)?.bufferedBytes).toBeGreaterThan(0), 20_000);
  await board.close({ timeoutMs: 0 });
  expect(shardOf(board)).toMatchObject({ connections: 0, bufferedBytes: 0 });
});

it("shows the load of each shard's thread", async () => {
  const { board } = await startBoard();
  await vi.waitFor(() => expect(shardOf(board)?.heapUsedBytes).toBeGreaterThan(1024 * 1024), { timeout: 5_000 });
  const { eventLoopUtilization } = shardOf(board) ?? {};
  expect(eventLoopUtilization).toBeGreaterThanOrEqual(0);
  expect(eventLoopUtilization).toBeLessThanOrEqual(1);
});

it("measures the time that sockets took to their shard", async () => {
  const { board, port } = await startBoard();
  for (let i = 0; i < 3; i++) await RawClient.open({ port });
  await vi.waitFor(() => expect(shardOf(board)?.handoff.count).toBe(3));
});

it("counts peers that vanish", async () => {
  const { board, port } = await startBoard();
  const client = await RawClient.open({ port });
  client.reset();
  await vi.waitFor(() => expect(shardOf(board)).toMatchObject({ connections: 0, abnormalClosures: 1 }));
});

it("shows queued bytes for a peer that doesn't read, and queued messages for a busy actor", async () => {
  const { board, port } = await startBoard({ actor: "scripted", maxBufferedBytes: 16 * 1024 * 1024 });
  const client = await RawClient.open({ port });
  const who = Array.from({ length: 7 }, () => text('{"do":"who"}'));
  client.write(Buffer.concat([text('{"do":"wait","ms":0}'), ...who]));
  await client.text();
  expect(shardOf(board)?.mailboxHighWater).toBeGreaterThanOrEqual(1);
  expect(shardOf(board)?.mailboxHighWater).toBeLessThanOrEqual(7);
  client.socket.pause();
  client.write(text('{"do":"send","bytes":10000000}'));
  await vi.waitFor(() => expect(shardOf(board)?.bufferedBytes).toBeGreaterThan(100_000), { timeout: 5_000 });
  client.socket.resume();
  await vi.waitFor(() => expect(shardOf(board)?.bufferedBytes).toBe(0), { timeout: 10_000 });
});

it("reports a peer that vanished", async () => {
  const { board, port } = await startBoard();
  const told = new Promise((resolve) => board.once("abnormalClosure", resolve));
  const client = await RawClient.open({ port });
  client.reset();
  expect(await told).toEqual({ shard: 0, id: expect.any(String) });
});

it("counts the slow peers that it closes", async () => {
  const { board, port } = await startBoard({ actor: "scripted", maxBufferedBytes: 100_000 });
  const client = await RawClient.open({ port });
  client.socket.pause();
  await vi.waitFor(() => {
    client.write(text('{"do":"send","bytes":4000000}'));
    expect(shardOf(board)).toMatchObject({ slowConsumersClosed: 1 });
  });
});

it("continues to count after a shard was replaced", async () => {
  const { board, port } = await startBoard({ actor: "scripted" });
  const replaced = new Promise((resolve) => board.once("shardReplaced", resolve));
  board.on("shardLost", () => {});
  (await RawClient.open({ port })).write(text('{"do":"exit"}'));
  await replaced;
  expect(shardOf(board)).toMatchObject({ ready: true, connections: 0, connectionsOpened: 1 });
  await RawClient.open({ port });
  expect(shardOf(board)).toMatchObject({ connections: 1, connectionsOpened: 2 });
});

it("shows the state of each shard, and whether the board accepts upgrades", async () => {
  const { board, port } = await startBoard({ actor: "scripted" });
  const look = () => [shardOf(board)?.state, shardOf(board)?.ready, shardOf(board)?.failed, board.ready];
  const lost = new Promise((resolve) => board.once("shardLost", resolve));
  const replaced = new Promise((resolve) => board.once("shardReplaced", resolve));
  expect(look()).toEqual(["ready", true, false, true]);
  (await RawClient.open({ port })).write(text('{"do":"exit"}'));
  await lost;
  expect(look()).toEqual(["restarting", false, false, false]);
  await replaced;
  expect(look()).toEqual(["ready", true, false, true]);
  const closing = board.close({ timeoutMs: 0 });
  expect(board.ready).toBe(false);
  await closing;
  expect(look()).toEqual(["closed", false, false, false]);
});

it("is a snapshot that doesn't change", async () => {
  const { board, port } = await startBoard({ attach: { path: "/chat" } });
  const before = board.stats();
  const copy = structuredClone(before);
  await RawClient.open({ port, path: "/chat" });
  await expect(RawClient.open({ port, path: "/chat", headers: { "Sec-WebSocket-Key": "x" } })).rejects.toThrow("400");
  expect(before).toEqual(copy);
  expect(board.stats().upgrades).toMatchObject({ accepted: 1, refused: { 400: 1 } });
});
