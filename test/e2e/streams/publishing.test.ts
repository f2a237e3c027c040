/** Publishes to streams: order, idempotency keys, expiry. */
import { describe, expect, it, vi } from "vitest";
import type { Stored } from "../../../src/index.ts";
import { StreamClient } from "../support/stream-client.ts";
import { numbers, publish, start } from "./stream-board.ts";

describe("publishes", () => {
  it("of one publisher keep their order, and all subscribers on both shards see one order", async () => {
    const { board, port } = await start();
    const subscribers = [...(await Promise.all([0, 0, 1, 1].map((shard) => StreamClient.openOn(port, shard))))];
    for (const subscriber of subscribers) await subscriber.subscribe("room:1");
    const publishers = await Promise.all([0, 1].map((shard) => StreamClient.openOn(port, shard)));
    const published = publishers.map((publisher) => publisher.tell("publish many", "room:1", { data: "300" }));
    const own = publish(board, "room:1", ...numbers(0, 299).map((i) => `board ${i}`));
    const stored = [...(await Promise.all(published)), await own] as Stored[][];
    for (const one of stored) {
      const offsets = one.map(({ position }) => position.offset);
      expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
    }
    await vi.waitFor(() => {
      for (const { offsets } of subscribers) expect(offsets).toEqual(numbers(1, 900));
    });
    const orders = subscribers.map(({ publications }) => publications.map(({ text }) => text));
    for (const order of orders) expect(order).toEqual(orders[0]);
    for (const name of [...publishers.map(({ address }) => address), "board"]) {
      const texts = orders[0]?.filter((text) => text.startsWith(`${name} `));
      expect(texts).toEqual(numbers(0, 299).map((i) => `${name} ${i}`));
    }
  });

  it("with one idempotency key on both shards and the board at once are published once", async () => {
    const { board, port } = await start();
    const clients = await Promise.all([0, 1].map((shard) => StreamClient.openOn(port, shard)));
    const subscriber = await StreamClient.open(port);
    await subscriber.subscribe("room:1");
    const options = { idempotencyKey: "once" };
    const stored = (await Promise.all([
      ...clients.map((client) => client.tell("publish", "room:1", { data: "x", options })),
      board.publish("room:1", "x", options).stored,
    ])) as Stored[];
    expect(stored.map(({ duplicate }) => duplicate).toSorted()).toEqual([false, true, true]);
    for (const { position } of stored) expect(position).toEqual(stored[0]?.position);
    await publish(board, "room:1", "next");
    await vi.waitFor(() => expect(subscriber.offsets).toEqual([1, 2]));
  });

  it("that have expired reach nobody who comes later, and a resume over them isn't recovered", async () => {
    const { board, port } = await start();
    const stored = await board.publish("room:1", "brief", { expiresMs: 1 }).stored;
    const client = await StreamClient.open(port);
    await vi.waitFor(async () => {
      const { publications } = await board.history("room:1");
      expect(publications).toEqual([]);
    });
    const since = { epoch: stored?.position.epoch, offset: 0 };
    expect(await client.subscribe("room:1", { since })).toMatchObject({ recovered: false, publications: [] });
  });
});
