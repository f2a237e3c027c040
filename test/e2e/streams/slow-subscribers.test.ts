/** Subscribers of streams that stop reading. */
import { describe, expect, it, vi } from "vitest";
import type { SlowConsumerPolicy } from "../../../src/index.ts";
import { StreamClient } from "../support/stream-client.ts";
import { numbers, publish, start, sum } from "./stream-board.ts";

describe("a subscriber that stops reading", () => {
  const policies: SlowConsumerPolicy[] = ["close", "dropNewest", "dropOldest", "conflate"];

  it.each(policies)("gets everything in order after it reads on, with the policy %s", async (policy) => {
    const { board, port } = await start({ shards: 1, slowConsumerPolicy: policy, maxBufferedBytes: 64 * 1024 });
    const [slow, quick] = [await StreamClient.open(port), await StreamClient.open(port)];
    for (const client of [slow, quick]) await client.subscribe("room:1");
    slow.socket.pause();
    const large = "x".repeat(32 * 1024);
    for (let round = 0; round < 10; round++) await publish(board, "room:1", ...numbers(1, 50).map(() => large));
    await vi.waitFor(() => expect(quick.offsets).toEqual(numbers(1, 500)));
    await vi.waitFor(() => expect(sum(board, "subscriptionsBehind")).toBeGreaterThan(0));
    slow.socket.resume();
    await vi.waitFor(() => expect(slow.offsets).toEqual(numbers(1, 500)));
    await publish(board, "room:1", "last");
    await vi.waitFor(() => expect(slow.publications.at(-1)).toMatchObject({ offset: 501, text: "last" }));
    expect({ lost: slow.lost, code: slow.closeCode }).toEqual({ lost: [], code: undefined });
  });

  it.each(policies)("is told when the history no longer has what it missed, with the policy %s", async (policy) => {
    const { board, port } = await start({ shards: 1, slowConsumerPolicy: policy, maxBufferedBytes: 64 * 1024 });
    const slow = await StreamClient.open(port);
    await slow.subscribe("short:1");
    slow.socket.pause();
    const large = "x".repeat(32 * 1024);
    for (let round = 0; round < 10; round++) await publish(board, "short:1", ...numbers(1, 50).map(() => large));
    await vi.waitFor(() => expect(sum(board, "subscriptionsBehind")).toBeGreaterThan(0));
    slow.socket.resume();
    await vi.waitFor(() => expect(slow.lost).toHaveLength(1));
    expect(slow.lost[0]).toMatchObject({ topic: "short:1", position: { offset: 500 } });
    expect(slow.offsets).toEqual(numbers(1, slow.offsets.length));
    expect(sum(board, "subscriptionsLost")).toBe(1);
    expect(await slow.subscribe("short:1", { since: "latest" })).toMatchObject({ recovered: true });
  });

  it.each(policies)("gets the newest publication of a topic that keeps one, with the policy %s", async (policy) => {
    const { board, port } = await start({ shards: 1, slowConsumerPolicy: policy, maxBufferedBytes: 64 * 1024 });
    const [slow, quick] = [await StreamClient.open(port), await StreamClient.open(port)];
    for (const client of [slow, quick]) await client.subscribe("price:1");
    slow.socket.pause();
    const large = "x".repeat(32 * 1024);
    for (let round = 0; round < 10; round++) await publish(board, "price:1", ...numbers(1, 50).map(() => large));
    // A busy shard gets publications long after the engine has stored them.
    await vi.waitFor(() => expect(quick.offsets.at(-1)).toBe(500));
    slow.socket.resume();
    await vi.waitFor(() => expect(slow.offsets.at(-1)).toBe(500));
    expect(slow.offsets.length).toBeLessThan(500);
    expect(slow.offsets).toEqual(slow.offsets.toSorted((a, b) => a - b));
    await publish(board, "price:1", "last");
    await vi.waitFor(() => expect(slow.publications.at(-1)).toMatchObject({ offset: 501, text: "last" }));
    expect({ lost: slow.lost, code: slow.closeCode }).toEqual({ lost: [], code: undefined });
  });

  it.each(policies)("gets the newest of many that come in one tick, with the policy %s", async (policy) => {
    const { board, port } = await start({ shards: 1, slowConsumerPolicy: policy, maxBufferedBytes: 64 * 1024 });
    const client = await StreamClient.open(port);
    await client.subscribe("price:1");
    const texts = numbers(1, 60_000).map((each) => `${each}`.padEnd(100));
    await publish(board, "price:1", ...texts);
    await vi.waitFor(() => expect(client.offsets.at(-1)).toBe(60_000));
    expect(client.offsets).toEqual(client.offsets.toSorted((a, b) => a - b));
    expect({ lost: client.lost, code: client.closeCode }).toEqual({ lost: [], code: undefined });
  });
});
