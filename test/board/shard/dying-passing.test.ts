/** Shards that die while they give connections to another process: the main thread has each descriptor, or nobody. */
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import { WebSocket } from "ws";
import { checkCloseOptions } from "../../../src/board/switchboard/options/close-options.ts";
import type { ShardPool } from "../../../src/board/switchboard/pool/shard-pool.ts";
import { PassedOut } from "../../../src/board/switchboard/takeover/passed-out.ts";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { whyNoUring } from "../../../src/wire/native/ring.ts";
import { closePassed } from "../../../src/wire/passing/passed-sockets.ts";
import { listenFor, startPool } from "../../support/shard-pool.ts";

const SOCKETS = whyNoUring() === undefined ? (["node", "uring"] as const) : (["node"] as const);
/** `npm run kills:uring` kills more. */
const KILLS = Number(process.env["KILLS"] ?? 2);
vi.setConfig({ testTimeout: 120_000 + KILLS * 10_000 });
const CLIENTS = 40;
/** About the time, in ms, that a shard needs to give up all clients. */
const GIVING_MS = 6;

const descriptors = (): number => readdirSync("/proc/self/fd").length;

/** Returns the number of connections that the main thread got before the shard died. */
async function kill(pool: ShardPool, port: number): Promise<number> {
  const clients = Array.from({ length: CLIENTS }, () => new WebSocket(`ws://127.0.0.1:${port}/`));
  for (const client of clients) client.on("error", () => {});
  await Promise.all(clients.map((client) => once(client, "open")));
  const closed = Promise.all(clients.map((client) => once(client, "close")));
  await pool.query(0, { kind: "suspendAll", limitMs: 60_000, fewLimitMs: 60_000 }, 60_000);
  const [shard] = pool.handles;
  if (shard === undefined) throw new Error("the pool has no shard");
  const passedOut = new PassedOut();
  const taking = Array.from({ length: CLIENTS / 4 }, () => passedOut.take(shard, 4));
  await delay(Math.random() * GIVING_MS);
  shard.terminate();
  const taken = (await Promise.all(taking)).flat();
  for (const { descriptor } of taken) closePassed(descriptor);
  // Each end that is still open would keep its client waiting.
  await closed;
  await pool.close(checkCloseOptions({ timeoutMs: 0 }));
  return taken.length;
}

describe.skipIf(whyNoPassing() !== undefined)("a shard that dies while it gives connections up", () => {
  it.each(SOCKETS)(`leaves no descriptor behind, over sockets of %s, ${KILLS} times in a row`, async (sockets) => {
    let pool = await startPool("counting", { sockets });
    const current = {
      get handles() {
        return pool.handles;
      },
    };
    const port = await listenFor(current);
    await kill(pool, port);
    const before = descriptors();
    const taken: number[] = [];
    while (taken.length < KILLS) {
      pool = await startPool("counting", { sockets });
      taken.push(await kill(pool, port));
    }
    console.log(`${KILLS} kills over ${sockets}: the main thread had ${taken.join(", ")} of ${CLIENTS}`);
    await vi.waitFor(() => expect(descriptors()).toBe(before));
  });
});
