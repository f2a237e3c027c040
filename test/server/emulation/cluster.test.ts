import { expect, it, vi } from "vitest";
import { redis } from "../../../src/engines/redis/index.ts";
import { RedisServer } from "../../support/redis-server.ts";
import { emulate, LineStream, rpc, startServer } from "./server.ts";

it("takes commands on any node of a cluster, and tells with 404 that a node has gone", async () => {
  const { url: redisUrl } = await RedisServer.start();
  const start = () => startServer({ board: { engine: redis({ url: redisUrl, prefix: "emulation" }) } });
  const [here, there] = await Promise.all([start(), start()]);
  for (const { board } of [here, there]) await vi.waitFor(() => expect(board.nodes()).toHaveLength(2));
  const stream = await LineStream.open(here.url);
  const connected = await stream.connected();
  expect(await emulate(there.url, connected, rpc(2, "echo", "far"))).toBe(204);
  expect(await stream.next()).toEqual({ id: 2, rpc: { data: "far" } });
  expect(await emulate(here.url, connected, rpc(3, "echo", "near"))).toBe(204);
  expect(await stream.next()).toEqual({ id: 3, rpc: { data: "near" } });

  await here.board.close({ timeoutMs: 0 });
  await vi.waitFor(() => expect(there.board.nodes()).toHaveLength(1));
  expect(await emulate(there.url, connected, rpc(4, "echo"))).toBe(404);
});
