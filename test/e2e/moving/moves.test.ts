import { expect, it, vi } from "vitest";
import type { Switchboard } from "../../../src/index.ts";
import { startBoard } from "../../support/board.ts";
import { addressesOf, expectAllRight, moveAll, openClients } from "../../support/moves.ts";

it("moves connections that answer all the time, with every message answered once and in order", async () => {
  const { board, port } = await startBoard({ actor: "counting", shards: 3 });
  const clients = await openClients(30, { port });
  const addresses = await addressesOf(board, 30);
  const openedBefore = board.stats().shards.reduce((sum, { connectionsOpened }) => sum + connectionsOpened, 0);
  expect(await moveAll(board, addresses, 4)).toBe(120);
  await expectAllRight(clients);
  const { shards } = board.stats();
  expect(shards.reduce((sum, { movedIn }) => sum + movedIn, 0)).toBe(120);
  expect(shards.reduce((sum, { movedOut }) => sum + movedOut, 0)).toBe(120);
  expect(shards.reduce((sum, { connectionsOpened }) => sum + connectionsOpened, 0)).toBe(openedBefore);
});

it("moves connections in the middle of messages", async () => {
  const { board, port } = await startBoard({ actor: "counting", shards: 2 });
  const sizeOf = (number: number) => 1_000 + ((number * 7_919) % 40_000);
  const clients = await openClients(8, { port, sizeOf, pieceBytes: 700 });
  await moveAll(board, await addressesOf(board, 8), 8);
  await expectAllRight(clients);
});

it("moves what waits for slow readers", async () => {
  const { board, port } = await startBoard({ actor: "counting", shards: 2, maxBufferedBytes: 64 * 1024 * 1024 });
  const clients = await openClients(4, { port, sizeOf: () => 150_000, window: 24, readEveryMs: 1 });
  await moveAll(board, await addressesOf(board, 4), 5);
  await expectAllRight(clients);
});

const loadsOf = (board: Switchboard): number[] => board.stats().shards.map(({ connections }) => connections);

it("evens out shards on request", async () => {
  const { board, port } = await startBoard({ actor: "counting", shards: 2 });
  const clients = await openClients(40, { port, thinkMs: 5 });
  await addressesOf(board, 40);
  await board.evacuate(0);
  expect(loadsOf(board)).toEqual([0, 40]);
  expect(await board.rebalance()).toMatchObject({ moved: 20 });
  expect(loadsOf(board)).toEqual([20, 20]);
  await expectAllRight(clients);
});

it("evens out shards by itself with the option rebalance", async () => {
  const { board, port } = await startBoard({ actor: "counting", shards: 2, rebalance: 1_000 });
  const clients = await openClients(40, { port, thinkMs: 5 });
  await addressesOf(board, 40);
  const movedOf = (shard: number): number => board.stats().shards[shard]?.movedIn ?? 0;
  const before = movedOf(1);
  await board.evacuate(1);
  // Any second, also in the middle of the evacuation. A difference of less than 16 is even enough.
  await vi.waitFor(() => {
    expect(movedOf(1)).toBeGreaterThan(before);
    const [first = 0, second = 0] = loadsOf(board);
    expect(first + second).toBe(40);
    expect(Math.abs(first - second)).toBeLessThan(16);
  });
  await expectAllRight(clients);
});

it("empties a shard, which goes on to take new connections", async () => {
  const { board, port } = await startBoard({ actor: "counting", shards: 3 });
  const clients = await openClients(60, { port, thinkMs: 5 });
  await addressesOf(board, 60);
  const { moved, stayed } = await board.evacuate(1);
  expect({ moved, stayed }).toEqual({ moved: 20, stayed: {} });
  expect((await board.connections({ shard: 1 })).connections).toEqual([]);
  expect(board.stats().shards.map(({ connections }) => connections)).toEqual([30, 0, 30]);
  const late = await openClients(1, { port });
  await addressesOf(board, 61);
  expect((await board.connections({ shard: 1 })).connections).toHaveLength(1);
  await expectAllRight([...clients, ...late]);
});

it("suspends few connections of a shard at a time, however many orders come at once", async () => {
  const { board, port } = await startBoard({ actor: "pacing", shards: 2 });
  const clients = await openClients(100, { port, thinkMs: 20 });
  expect(await moveAll(board, await addressesOf(board, 100), 1)).toBe(100);
  const answers = await board.survey("most");
  for (const one of answers) expect(one).toMatchObject({ kind: "answered", answer: expect.any(Number) });
  const most = answers.map((one) => (one.kind === "answered" ? (one.answer as number) : Number.NaN));
  expect(Math.max(...most)).toBeGreaterThan(1);
  expect(Math.max(...most)).toBeLessThanOrEqual(32);
  await expectAllRight(clients);
});
