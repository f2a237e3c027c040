import { once } from "node:events";
import { connect } from "node:net";
import { expect, it, onTestFinished, vi } from "vitest";
import { startBoard } from "../support/board.ts";
import { text } from "../support/frames.ts";
import { RawClient, upgradeRequest } from "../support/raw-client.ts";

const SUBSCRIBERS = 2_000;
const PUBLISHES = 200;
const BYTES = 500;
const MIB = 1024 * 1024;
const MAX_BUFFERED_BYTES = MIB;

const subscribeNews = text(JSON.stringify({ do: "subscribe", topics: ["news"] }));

/** A subscriber that checks the numbers it gets, and keeps nothing else. */
async function subscribe(port: number): Promise<{ done: Promise<void> }> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  onTestFinished(() => void socket.destroy());
  const { promise: ready, resolve: subscribed, reject } = Promise.withResolvers<void>();
  const { promise: done, resolve, reject: fail } = Promise.withResolvers<void>();
  done.catch(() => {});
  let rest: Buffer = Buffer.alloc(0);
  let next = -1;
  socket.on("error", reject);
  socket.on("close", () => fail(new Error("the connection ended first")));
  socket.on("data", (chunk: Buffer) => {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    if (next === -1) {
      const end = rest.indexOf("subscribed");
      if (end === -1) return;
      rest = rest.subarray(end + "subscribed".length);
      next = 0;
      subscribed();
    }
    // A frame with a length of 16 bits, and "news <number> x…".
    for (; rest.length >= BYTES + 4; rest = rest.subarray(BYTES + 4)) {
      const number = Number(rest.toString("latin1", 4 + "news ".length, 4 + 12).split(" ")[0]);
      if (number !== next++) return fail(new Error(`expected ${next - 1}, got ${number}`));
    }
    if (next === PUBLISHES) resolve();
  });
  socket.write(Buffer.concat([Buffer.from(upgradeRequest()), subscribeNews]));
  await ready;
  return { done };
}

it.each(["dropNewest", "dropOldest", "conflate", "close"] as const)(
  "one of 2,000 subscribers that never reads neither delays the others nor grows the process (%s)",
  async (slowConsumers) => {
    const { board, port } = await startBoard({ actor: "flooding", shards: 2, maxBufferedBytes: MAX_BUFFERED_BYTES });
    const stalled = await RawClient.open({ port });
    stalled.write(text(JSON.stringify({ do: "policy", policy: "dropOldest" })));
    expect(await stalled.text()).toBe("dropOldest");
    stalled.write(subscribeNews);
    expect(await stalled.text()).toBe("subscribed");
    const watcher = await RawClient.open({ port });
    watcher.write(text(JSON.stringify({ do: "subscribe", topics: ["log"] })));
    expect(await watcher.text()).toBe("subscribed");
    // More than any buffer of the system takes, so that all that is published waits.
    stalled.socket.pause();
    stalled.write(text(JSON.stringify({ do: "send", count: 600, bytes: 64 * 1024 })));
    stalled.write(text(JSON.stringify({ do: "policy", policy: slowConsumers })));
    await watcher.text();

    const others = [];
    for (let i = 0; i < SUBSCRIBERS; i += 100) {
      others.push(...(await Promise.all(Array.from({ length: 100 }, () => subscribe(port)))));
    }
    const before = process.memoryUsage.rss();
    let most = before;
    const watch = setInterval(() => {
      most = Math.max(most, process.memoryUsage.rss());
    }, 5);
    onTestFinished(() => clearInterval(watch));
    const publisher = await RawClient.open({ port });
    publisher.write(text(JSON.stringify({ do: "publish", topics: ["news"], count: PUBLISHES, bytes: BYTES })));
    await Promise.all(others.map(({ done }) => done));
    // 200 MB were delivered; both ends of all connections are in this process.
    expect(most - before).toBeLessThan(96 * MIB);
    expect(JSON.parse(await publisher.text())).toMatchObject({ remote: PUBLISHES });
    const deliveries = board.stats().shards.reduce((sum, shard) => sum + shard.deliveries, 0);
    // Those and the one on "log".
    if (slowConsumers !== "close") expect(deliveries).toBe((SUBSCRIBERS + 1) * PUBLISHES + 1);
    else await vi.waitFor(() => expect(board.stats().connections).toBe(SUBSCRIBERS + 2), 10_000);
    stalled.reset();
    await once(stalled.socket, "close");
  },
);
