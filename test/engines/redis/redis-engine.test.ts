/** The contract of engines over one real server, and what Redis adds. */
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll } from "vitest";
import { createRedisEngine, redis } from "../../../src/engines/redis/index.ts";
import type { Engine } from "../../../src/runtime/streams/engine.ts";
import { noop } from "../../../src/wire/protocol/empty.ts";
import { describeEngine } from "../../runtime/streams/engine-contract.ts";
import { RedisServer } from "../../support/redis-server.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";

let server: RedisServer;
let clusters = 0;

beforeAll(async () => {
  server = await RedisServer.start({ outlivesTest: true });
});
afterAll(() => server.destroy());

describeEngine({
  name: "redis",
  traits: { isShared: true, hasClock: false, modelRuns: 10 },
  create: () => {
    // Each cluster of nodes has a prefix of its own in the one server, and each node a link of its own.
    const prefix = `test-${++clusters}`;
    const links = new Map<Engine, TcpProxy>();
    return {
      create: async (node) => {
        const link = await TcpProxy.start(server.port);
        const times = { presenceTtlMs: 1_000, nodeTtlMs: 1_000, probeIntervalMs: 100 };
        const engine = await createRedisEngine(redis({ url: link.url, prefix, ...times }).options, node);
        links.set(engine, link);
        return engine;
      },
      pass: (ms) => delay(ms),
      kill: async (engine) => {
        // Not a byte reaches Redis any more.
        links.get(engine)?.cut();
        await engine.stop();
      },
      close: noop,
    };
  },
});
