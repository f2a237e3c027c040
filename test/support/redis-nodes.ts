/** Nodes that run the engine for Redis in this process, with short times. Each ends with the test. */
import { onTestFinished } from "vitest";
import { createRedisEngine, type RedisOptions, redis } from "../../src/engines/redis/index.ts";
import type { Engine } from "../../src/runtime/streams/engine.ts";
import { ModelOwner, ModelPublisher } from "./stream-model.ts";

/** Short, but long enough for a machine that is busy. */
const TIMES = { probeIntervalMs: 100, commandTimeoutMs: 1_500, connectTimeoutMs: 5_000, nodeTtlMs: 1_500 };

export interface RedisNode {
  readonly engine: Engine;
  readonly owner: ModelOwner;
  publisher(topic: string): ModelPublisher;
}

let nodes = 0;

export async function createRedisNode(options: RedisOptions, id = `node-${++nodes}`): Promise<RedisNode> {
  const engine = await createRedisEngine(redis({ ...TIMES, ...options }).options, id);
  onTestFinished(() => engine.stop());
  const owner = new ModelOwner(engine);
  return { engine, owner, publisher: (topic) => new ModelPublisher(engine, topic) };
}

export async function startRedisNode(options: RedisOptions, id?: string): Promise<RedisNode> {
  const node = await createRedisNode(options, id);
  await node.engine.start(node.owner);
  return node;
}
