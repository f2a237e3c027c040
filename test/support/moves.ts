/** Clients of a `Counting` actor and their moves, for tests that move many connections at once. */
import { expect, onTestFinished } from "vitest";
import type { Address, Switchboard } from "../../src/index.ts";
import { CountedClient, type CountedOptions } from "./counted-client.ts";

/** Opens clients, which are closed when the test ends. */
export async function openClients(count: number, options: CountedOptions): Promise<CountedClient[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => CountedClient.open(options)));
  onTestFinished(() => {
    for (const { socket } of clients) socket.destroy();
  });
  return clients;
}

/** Resolves with the addresses of all connections, when there are that many. */
export async function addressesOf(board: Switchboard, count: number): Promise<Address[]> {
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
export async function moveAll(board: Switchboard, addresses: readonly Address[], rounds: number): Promise<number> {
  const { length: shards } = board.stats().shards;
  const moves = await Promise.all(
    addresses.map(async (address) => {
      let moved = 0;
      let shard = Number.parseInt(address, 10);
      for (let round = 0; round < rounds; round++) {
        shard = (shard + 1 + (round % (shards - 1))) % shards;
        let result = await board.move(address, shard);
        // On a busy machine the other thread may not answer within 5 s: the connection stays, and can be moved again.
        while (!result.moved && result.reason === "shard") result = await board.move(address, shard);
        if (!result.moved) throw new Error(`${address} stayed: ${result.reason}`);
        moved++;
      }
      return moved;
    }),
  );
  return moves.reduce((sum, one) => sum + one, 0);
}

/** Stops the clients, and checks that each got all its answers. */
export async function expectAllRight(clients: readonly CountedClient[]): Promise<void> {
  await Promise.all(clients.map((client) => client.stop()));
  expect(clients.flatMap(({ errors }) => errors)).toEqual([]);
  for (const { answers } of clients) expect(answers).toBeGreaterThan(0);
}
