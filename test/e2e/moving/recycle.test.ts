import { once } from "node:events";
import { expect, it, onTestFinished, vi } from "vitest";
import { WebSocket } from "ws";
import type { RecycledShard, Switchboard } from "../../../src/index.ts";
import { startBoard } from "../../support/board.ts";
import { addressesOf, expectAllRight, openClients } from "../../support/moves.ts";

/** Leaks 64 MiB in each shard that gets a new connection of this kind. */
async function leak(port: number): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
  onTestFinished(() => socket.terminate());
  await once(socket, "open");
  socket.send("!");
  await once(socket, "message");
  return socket;
}

async function leaks(board: Switchboard): Promise<unknown[]> {
  const answers = await board.survey("leaks");
  return answers.map((one) => (one.kind === "answered" ? (one.answer as { leaked: number }).leaked : one.kind));
}

const recycles = (board: Switchboard): number[] => board.stats().shards.map(({ recycled }) => recycled);

it("replaces the thread of a shard with all its memory, and everybody goes on", async () => {
  const { board, port } = await startBoard({ actor: "growing", shards: 2 });
  const events: RecycledShard[] = [];
  board.on("shardRecycled", (event) => events.push(event));
  await leak(port);
  const clients = await openClients(19, { port, thinkMs: 5 });
  await addressesOf(board, 20);
  expect(await leaks(board)).toEqual([1, 0]);
  expect(await board.recycle(0)).toMatchObject({ moved: 10, kept: 0, closed: 0 });
  expect(events).toMatchObject([{ shard: 0, reason: "request", moved: 10, kept: 0, closed: 0 }]);
  expect(await leaks(board)).toEqual([0, 0]);
  expect(recycles(board)).toEqual([1, 0]);
  expect(board.stats().shards.map(({ connections, state }) => [connections, state])).toEqual([
    [10, "ready"],
    [10, "ready"],
  ]);
  await expectAllRight(clients);
});

it("works on the only shard of a board, again and again, with mail to all addresses", async () => {
  const { board, port } = await startBoard({ actor: "counting", shards: 1 });
  const clients = await openClients(10, { port, thinkMs: 5 });
  const addresses = await addressesOf(board, 10);
  for (let i = 0; i < 2; i++) expect(await board.recycle(0)).toMatchObject({ moved: 10, closed: 0 });
  for (const address of addresses) expect(await board.tell(address, "there?")).toEqual({ status: "accepted" });
  expect((await addressesOf(board, 10)).toSorted()).toEqual(addresses.toSorted());
  await expectAllRight(clients);
});

it("replaces a shard by itself whose memory has grown past the bound, once", async () => {
  const recycle = { maxMemoryMb: 48, forMs: 1 };
  const { board, port } = await startBoard({ actor: "growing", shards: 2, recycle });
  const clients = await openClients(20, { port, thinkMs: 5 });
  await addressesOf(board, 20);
  const events: RecycledShard[] = [];
  board.on("shardRecycled", (event) => events.push(event));
  await leak(port);
  await vi.waitFor(() => expect(events).toHaveLength(1), { timeout: 30_000 });
  expect(events).toMatchObject([{ reason: "memory", kept: 0, closed: 0 }]);
  expect(await leaks(board)).toEqual([0, 0]);
  await expectAllRight(clients);
  expect(recycles(board).toSorted()).toEqual([0, 1]);
});

it("changes nothing when the new thread can't start, or the call makes no sense", async () => {
  const { board, port } = await startBoard({ actor: "counting", shards: 2 });
  const clients = await openClients(4, { port, thinkMs: 5 });
  await addressesOf(board, 4);
  await expect(board.recycle(2)).rejects.toMatchObject({ code: "ERR_OPTION" });
  await expect(board.recycle(0, { batchSize: 0 })).rejects.toMatchObject({ code: "ERR_OPTION" });
  const first = board.recycle(0);
  await expect(board.recycle(1)).rejects.toMatchObject({ code: "ERR_RELOADING" });
  await expect(board.reload()).rejects.toMatchObject({ code: "ERR_RELOADING" });
  expect(await first).toMatchObject({ moved: 2 });
  await expectAllRight(clients);
  await board.close({ timeoutMs: 0 });
  await expect(board.recycle(0)).rejects.toMatchObject({ code: "ERR_CLOSED" });
});

it("takes no option recycle without a bound", async () => {
  await expect(startBoard({ recycle: { forMs: 10 } })).rejects.toMatchObject({ code: "ERR_OPTION" });
  await expect(startBoard({ recycle: { maxMemoryMb: 0 } })).rejects.toMatchObject({ code: "ERR_OPTION" });
});

it("replaces a shard whose event loop stands still once the watchdog has ended it, and takes new connections", async () => {
  const { board, port } = await startBoard({ actor: "growing", shards: 2, shardTimeoutMs: 2_000 });
  const lost: unknown[] = [];
  board.on("shardLost", ({ shard, reason }) => lost.push([shard, reason]));
  const clients = await openClients(2, { port });
  const [address] = (await addressesOf(board, 2)).filter((one) => one.startsWith("0-"));
  if (address === undefined) return expect.fail("no connection in shard 0");
  await board.tell(address, "block");
  expect(await board.recycle(0)).toMatchObject({ moved: 0, closed: 0 });
  expect(lost).toEqual([[0, "unresponsive"]]);
  const late = await openClients(2, { port, thinkMs: 5 });
  await addressesOf(board, 3);
  expect(board.stats().shards.map(({ state }) => state)).toEqual(["ready", "ready"]);
  await expectAllRight(late);
  await Promise.all(clients.map((client) => client.stop()));
  expect(clients.flatMap(({ errors }) => errors)).toHaveLength(1);
});
