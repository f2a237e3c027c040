import { expect, it, onTestFinished, vi } from "vitest";
import type { Address, Switchboard } from "../../../src/index.ts";
import { startBoard } from "../../support/board.ts";
import { CountedClient, type CountedOptions } from "../../support/counted-client.ts";

async function openClients(count: number, options: CountedOptions): Promise<CountedClient[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => CountedClient.open(options)));
  onTestFinished(() => {
    for (const { socket } of clients) socket.destroy();
  });
  return clients;
}

async function addressesOf(board: Switchboard, count: number): Promise<Address[]> {
  const addresses: Address[] = [];
  while (addresses.length < count) {
    addresses.length = 0;
    let cursor: string | undefined;
    do {
      const page = await board.connections({ limit: 1_000, ...(cursor !== undefined && { cursor }) });
      addresses.push(...page.connections.map(({ address }) => address));
      cursor = page.cursor;
    } while (cursor !== undefined);
  }
  return addresses;
}

/** Moves every connection `rounds` times. Returns the number of moves. */
async function moveAll(board: Switchboard, addresses: readonly Address[], rounds: number): Promise<number> {
  const { length: shards } = board.stats().shards;
  const moves = await Promise.all(
    addresses.map(async (address) => {
      let moved = 0;
      let shard = Number.parseInt(address, 10);
      for (let round = 0; round < rounds; round++) {
        shard = (shard + 1 + (round % (shards - 1))) % shards;
        const result = await board.move(address, shard);
        if (!result.moved) throw new Error(`${address} stayed: ${result.reason}`);
        moved++;
      }
      return moved;
    }),
  );
  return moves.reduce((sum, one) => sum + one, 0);
}

async function expectAllRight(clients: readonly CountedClient[]): Promise<void> {
  await Promise.all(clients.map((client) => client.stop()));
  expect(clients.flatMap(({ errors }) => errors)).toEqual([]);
  for (const { answers } of clients) expect(answers).toBeGreaterThan(0);
}

it("moves connections that answer all the time, with every message answered once and in order", async () => {
  const { board, port } = await startBoard({ actor: "counting", shards: 3 });
  const clients = await openClients(60, { port });
  const addresses = await addressesOf(board, 60);
  const openedBefore = board.stats().shards.reduce((sum, { connectionsOpened }) => sum + connectionsOpened, 0);
  expect(await moveAll(board, addresses, 5)).toBe(300);
  await expectAllRight(clients);
  const { shards } = board.stats();
  expect(shards.reduce((sum, { movedIn }) => sum + movedIn, 0)).toBe(300);
  expect(shards.reduce((sum, { movedOut }) => sum + movedOut, 0)).toBe(300);
  expect(shards.reduce((sum, { connectionsOpened }) => sum + connectionsOpened, 0)).toBe(openedBefore);
});

it("moves connections in the middle of messages", async () => {
  const { board, port } = await startBoard({ actor: "counting", shards: 2 });
  const sizeOf = (number: number) => 1_000 + ((number * 7_919) % 40_000);
  const clients = await openClients(12, { port, sizeOf, pieceBytes: 700 });
  await moveAll(board, await addressesOf(board, 12), 8);
  await expectAllRight(clients);
});

it("moves what waits for slow readers", async () => {
  const { board, port } = await startBoard({ actor: "counting", shards: 2, maxBufferedBytes: 64 * 1024 * 1024 });
  const clients = await openClients(4, { port, sizeOf: () => 150_000, window: 24, readEveryMs: 1 });
  await moveAll(board, await addressesOf(board, 4), 5);
  await expectAllRight(clients);
});

it("evens out shards on request, and by itself with the option rebalance", async () => {
  const { board, port } = await startBoard({ actor: "counting", shards: 2, rebalance: 1_000 });
  const clients = await openClients(40, { port });
  await addressesOf(board, 40);
  const loads = (): number[] => board.stats().shards.map(({ connections }) => connections);
  await board.evacuate(0);
  expect(await board.rebalance()).toMatchObject({ moved: 20 });
  expect(loads()).toEqual([20, 20]);
  await board.evacuate(1);
  await vi.waitFor(() => expect(loads()).toEqual([20, 20]));
  await expectAllRight(clients);
});

it("empties a shard, which goes on to take new connections", async () => {
  const { board, port } = await startBoard({ actor: "counting", shards: 3 });
  const clients = await openClients(60, { port });
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
