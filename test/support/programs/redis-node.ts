/** A node of its own that runs the engine for Redis, for tests that kill it or give it a wrong clock. */
import { createRedisEngine, type RedisOptions, redis } from "../../../src/engines/redis/index.ts";
import type { EngineOwner } from "../../../src/runtime/streams/engine.ts";
import { noop } from "../../../src/wire/protocol/empty.ts";
import { encodeText } from "../../../src/wire/protocol/frame.ts";

export interface RedisNodeProgram {
  readonly options: RedisOptions;
  readonly id: string;
  /** Time by which the node's clock is ahead, in ms. */
  readonly clockAheadMs: number;
  readonly topic: string;
  readonly members: number;
  readonly publications: number;
}

const { options, id, clockAheadMs, topic, members, publications } = JSON.parse(
  process.argv[2] ?? "",
) as RedisNodeProgram;

const now = Date.now;
Date.now = () => now() + clockAheadMs;

const owner: EngineOwner = {
  published: noop,
  relayed: noop,
  presenceChanged: ({ kind, member }) => console.log(`${kind} ${member.address}`),
  interrupted: noop,
  doubted: noop,
  healthChanged: noop,
  controlReceived: noop,
  nodeChanged: (other, facts) => console.log(`node ${other} ${facts ?? "gone"}`),
};

const engine = await createRedisEngine(redis(options).options, id);
await engine.start(owner);
await engine.want(topic);
const limits = { size: 1_000, ttlMs: 60_000, metaTtlMs: 60_000 };
const joins = Array.from({ length: members }, (_, number) =>
  engine.join(
    topic,
    { address: `${id}-${number}`, node: id, user: `user-${number % 10}`, info: undefined },
    { leaveGraceMs: 60_000, changes: true },
  ),
);
await Promise.all(joins);
for (let number = 1; number <= publications; number++) {
  await engine.publish(topic, { frame: encodeText(`${topic} ${number}`), expiresMs: 60_000 }, limits);
}
console.log("ready");
