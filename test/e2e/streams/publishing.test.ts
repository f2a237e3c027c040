/** Publishes to streams: order, idempotency keys, expiry. */
import { describe, expect, it, vi } from "vitest";
import { memory, type Stored } from "../../../src/index.ts";
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

  it("with a known idempotency key reach nobody after removeHistory, and get the position of the first", async () => {
    const { board, port } = await start();
    const client = await StreamClient.open(port);
    await client.subscribe("room:1");
    const options = { idempotencyKey: "once" };
    const first = await board.publish("room:1", "1", options).stored;
    await board.removeHistory("room:1");
    expect(await client.tell("publish", "room:1", { data: "again", options })).toEqual({ ...first, duplicate: true });
    const [next] = await publish(board, "room:1", "2");
    expect(next?.position).toEqual({ ...first?.position, offset: 2 });
    await vi.waitFor(() => expect(client.publications.map(({ text }) => text)).toEqual(["1", "2"]));
    const { publications } = await board.history("room:1");
    expect(publications.map(({ offset }) => offset)).toEqual([2]);
  });

  it("reach the actor that publishes, whatever self says", async () => {
    const { port } = await start();
    const client = await StreamClient.open(port);
    await client.subscribe("room:1");
    for (const self of [false, true, undefined]) await client.tell("publish", "room:1", { options: { self } });
    await vi.waitFor(() => expect(client.offsets).toEqual([1, 2, 3]));
  });
});

describe("the rule of a topic", () => {
  it("is that of the first pattern that matches, and without history a publish isn't stored", async () => {
    const topics = { "room:plain": { presence: true }, "room:*": { history: { size: 10 } } };
    const { board } = await start({ topics });
    expect(board.publish("room:plain", "x").stored).toBeUndefined();
    expect(board.publish("news", "x").stored).toBeUndefined();
    expect((await board.publish("room:other", "x").stored)?.position.offset).toBe(1);
    await expect(board.history("room:plain")).rejects.toMatchObject({ code: "ERR_NO_HISTORY" });
    expect(await board.presence("room:plain")).toEqual([]);
  });

  it("holds for a board alone: two boards with the same engine in memory share nothing", async () => {
    const engine = memory();
    const [one, other] = [await start({ engine }), await start({ engine })];
    await publish(one.board, "room:1", "1", "2");
    expect((await other.board.history("room:1", { limit: 0 })).top.offset).toBe(0);
    expect(await one.board.history("room:1", { limit: 0 })).toMatchObject({ publications: [], top: { offset: 2 } });
  });
});
