import { expect, it, vi } from "vitest";
import { Echoing } from "../support/echoing.ts";
import { text } from "../support/frames.ts";
import { RawClient, upgradeRequest } from "../support/raw-client.ts";
import { ServerProcess } from "../support/server-process.ts";

/** Longer than five deaths of a shard and the pauses between them. */
const TIMEOUT_MS = 60_000;

/** Ends shard 0, which gets the new connections, until it isn't started again. */
async function failShard(server: ServerProcess): Promise<void> {
  for (let death = 0; death < 5; death++) {
    if (death > 0) await server.tells("shardReplaced", death - 1);
    const client = await RawClient.open(server);
    client.write(text("where"));
    expect(await client.text()).toBe("shard 0");
    client.write(text("exit"));
    await client.closed();
  }
  await server.tells("shardFailed");
}

it(
  "marks a shard that dies five times within a minute as failed, doesn't restart it, and keeps the other shards running",
  async () => {
    const server = await ServerProcess.start({ actor: "faulty", start: { shards: 2 } });
    // Shard 0 gets the first connection, which leaves again.
    const first = await RawClient.open(server);
    const others = [await RawClient.open(server)];
    await first.close();
    await vi.waitFor(async () => expect((await server.stats()).connections).toBe(1));
    const echoing = new Echoing(others);
    await failShard(server);
    const failure = await server.tells("shardFailed");
    expect(failure).toMatchObject({ shard: 0, reason: "exited", connections: 1, error: { code: "ERR_SHARD_EXITED" } });
    await server.tells("shardLost", 4);

    const { ready, shards } = await server.stats();
    expect(ready).toBe(true);
    expect(shards).toMatchObject([
      { state: "failed", ready: false, failed: true, connections: 0 },
      { state: "ready", ready: true, failed: false, connections: 1 },
    ]);
    for (let i = 0; i < 3; i++) {
      const next = await RawClient.open(server);
      next.write(text("where"));
      expect(await next.text()).toBe("shard 1");
    }
    await echoing.goesOn();
    await echoing.stop();
  },
  TIMEOUT_MS,
);

it(
  "answers upgrades with 503 when every shard has failed, and the process keeps running",
  async () => {
    const server = await ServerProcess.start({ actor: "faulty", start: { shards: 1 } });
    await failShard(server);
    for (let i = 0; i < 3; i++) {
      const client = await RawClient.connect(server.port);
      client.write(upgradeRequest());
      expect(await client.response()).toMatchObject({ status: 503, headers: { "retry-after": "1" } });
    }
    const { ready, shards, upgrades } = await server.stats();
    expect(ready).toBe(false);
    expect(shards).toMatchObject([{ state: "failed", ready: false, failed: true }]);
    expect(upgrades.refused).toEqual({ 503: 3 });
  },
  TIMEOUT_MS,
);
