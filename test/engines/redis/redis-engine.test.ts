/** The contract of engines over one real server, and what Redis adds. */
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createRedisEngine, redis } from "../../../src/engines/redis/index.ts";
import { Keys } from "../../../src/engines/redis/keys.ts";
import type { Engine } from "../../../src/runtime/streams/engine.ts";
import { TRAVEL_MS } from "../../../src/runtime/streams/takeover.ts";
import { noop } from "../../../src/wire/protocol/empty.ts";
import { RecordingOwner } from "../../runtime/streams/contract/cluster.ts";
import { describeEngine } from "../../runtime/streams/engine-contract.ts";
import { readReadme } from "../../support/readme.ts";
import { type RedisClusterOfThree, RedisServer, startRedisCluster } from "../../support/redis-server.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";

/** The rules for users of Redis, as the README gives them. */
function allowedCommands(text = readReadme("src/engines/redis/README.md")): string[] {
  return [...text.matchAll(/(?<=[ `])\+[a-z|]+/g)].map(([rule]) => rule);
}

/** The line of the README that makes a user of one server, for another prefix. */
function userLine(prefix: string): string[] {
  const [line] = /ACL SETUSER .*/.exec(readReadme("src/engines/redis/README.md")) ?? [""];
  return line.replaceAll("switchboard:", `${prefix}:`).replace(" board ", ` ${prefix} `).split(" ");
}

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
        await server.command(...userLine(prefix));
        const user = { username: prefix, password: "PASSWORD" };
        const engine = await createRedisEngine(redis({ url: link.url, prefix, ...user, ...times }).options, node);
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

it("needs all the commands that the README allows", async () => {
  const used = String(await server.command("INFO", "commandstats"));
  // Redis 6.2 counts no subcommands.
  const isUsed = (rule: string): boolean => used.includes(`cmdstat_${/\w+/.exec(rule)?.[0]}`);
  const unused = allowedCommands(userLine("any").join(" ")).filter((rule) => !isUsed(rule));
  expect(unused).toEqual([]);
});

it("keeps a member that was let go for as long as it may travel, and doesn't touch one that has arrived", async () => {
  const options = { url: server.url, prefix: "travel", presenceTtlMs: 1_000 };
  const start = async (node: string): Promise<Engine> => {
    const engine = await createRedisEngine(redis(options).options, node);
    await engine.start(new RecordingOwner());
    return engine;
  };
  const [old, next] = [await start("node-1"), await start("node-2")];
  const rule = { leaveGraceMs: 0, changes: true };
  const join = (engine: Engine, address: string, node: string) =>
    engine.join("t", { address, node, user: undefined, info: undefined }, rule);
  for (const address of ["a", "b"]) await join(old, address, "node-1");
  await join(next, "b", "node-2");
  for (const address of ["a", "b"]) old.letGo("t", address);
  await old.stop();
  const deadlineOf = async (address: string): Promise<number> => {
    const { deadlines } = new Keys("travel").presence("t");
    const [seconds] = (await server.command("TIME")) as [string];
    return Number(await server.command("ZSCORE", deadlines, address)) - Number(seconds) * 1_000;
  };
  expect(await deadlineOf("a")).toBeGreaterThan(TRAVEL_MS / 2);
  expect(await deadlineOf("b")).toBeLessThan(TRAVEL_MS / 2);
  expect((await next.members("t", 10)).map(({ address }) => address).toSorted()).toEqual(["a", "b"]);
  await next.stop();
});

let cluster: RedisClusterOfThree;

describe("over a cluster of three masters, with a user of its own for each node", () => {
  beforeAll(async () => {
    cluster = await startRedisCluster(0, true);
  });
  afterAll(async () => {
    for (const one of cluster.servers) await one.destroy();
  });

  const onAll = async (...command: string[]): Promise<void> => {
    for (const one of cluster.servers) await one.command(...command);
  };

  describeEngine({
    name: "redis cluster",
    traits: { isShared: true, hasClock: false, modelRuns: 5 },
    create: () => {
      const prefix = `test-${++clusters}`;
      const users = new Map<Engine, string>();
      return {
        create: async (node) => {
          const username = `${prefix}-${node}`;
          await onAll(
            "ACL",
            "SETUSER",
            username,
            "on",
            ">secret",
            `~${prefix}:*`,
            `&${prefix}:*`,
            ...allowedCommands(),
          );
          const times = { presenceTtlMs: 1_000, nodeTtlMs: 1_000, probeIntervalMs: 100 };
          const nodes = cluster.servers.map(({ address }) => address);
          const options = { cluster: { nodes }, prefix, username, password: "secret", ...times };
          const engine = await createRedisEngine(redis(options).options, node);
          users.set(engine, username);
          return engine;
        },
        pass: (ms) => delay(ms),
        kill: async (engine) => {
          // Redis closes the connections of the user, and takes no more.
          await onAll("ACL", "DELUSER", users.get(engine) ?? "");
          await engine.stop();
        },
        close: noop,
      };
    },
  });
});
