import fc from "fast-check";
import { expect, it, vi } from "vitest";
import { leastConnections } from "../../src/switchboard/placement.ts";
import { startBoard } from "../support/board.ts";
import { text } from "../support/frames.ts";
import { RawClient } from "../support/raw-client.ts";

const loads = (...all: number[]): { load: number }[] => all.map((load) => ({ load }));

it("finds nothing among nobody", () => {
  expect(leastConnections(() => [])()).toBeUndefined();
});

it("picks the one with the fewest connections", () => {
  const all = loads(3, 1, 2);
  const place = leastConnections(() => all);
  for (let i = 0; i < 4; i++) expect(place()).toBe(all[1]);
});

it("takes turns among equals", () => {
  const all = loads(1, 1, 1);
  const place = leastConnections(() => all);
  expect(new Set([place(), place(), place()]).size).toBe(3);
});

it("always picks one of the least loaded, and spreads evenly when each pick counts", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 200 }), (shards, connections) => {
      const all = Array.from({ length: shards }, () => ({ load: 0 }));
      const place = leastConnections(() => all);
      for (let i = 0; i < connections; i++) {
        const picked = place();
        if (picked === undefined) throw new Error("there is always one");
        expect(picked.load).toBe(Math.min(...all.map(({ load }) => load)));
        picked.load++;
      }
      const counts = all.map(({ load }) => load);
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
    }),
  );
});

async function shardOf(client: RawClient): Promise<number> {
  client.write(text('{"do":"who"}'));
  return JSON.parse(await client.text()).shard;
}

it("places two connections on different shards", async () => {
  const { port } = await startBoard({ actor: "scripted", shards: 2 });
  const first = await RawClient.open({ port });
  const second = await RawClient.open({ port });
  expect([await shardOf(first), await shardOf(second)].toSorted()).toEqual([0, 1]);
});

it("spreads 100 connections that come one after the other evenly", async () => {
  const { board, port } = await startBoard({ shards: 2 });
  for (let i = 0; i < 100; i++) await RawClient.open({ port });
  expect(board.stats().shards.map(({ connections }) => connections)).toEqual([50, 50]);
});

it("spreads 100 connections that come at once evenly, from an uneven start too", async () => {
  const { board, port } = await startBoard({ shards: 2 });
  await RawClient.open({ port });
  await Promise.all(Array.from({ length: 99 }, () => RawClient.open({ port })));
  expect(board.stats().shards.map(({ connections }) => connections)).toEqual([50, 50]);
});

it("fills up the shard whose connections have left", async () => {
  const { board, port } = await startBoard({ actor: "scripted", shards: 2 });
  const clients: RawClient[] = [];
  for (let i = 0; i < 10; i++) clients.push(await RawClient.open({ port }));
  for (const client of clients) if ((await shardOf(client)) === 0) await client.close();
  await vi.waitFor(() => expect(board.stats().connections).toBe(5));
  for (let i = 0; i < 5; i++) expect(await shardOf(await RawClient.open({ port }))).toBe(0);
});
