/** Topics that are wanted and left in quick succession, over a real server. */
import { setImmediate as turn } from "node:timers/promises";
import { expect, it, vi } from "vitest";
import type { EngineOwner } from "../../../src/runtime/streams/engine.ts";
import { noop } from "../../../src/wire/protocol/empty.ts";
import { encodeText } from "../../../src/wire/protocol/frame.ts";
import { createRedisNode } from "../../support/redis-nodes.ts";
import { RedisServer } from "../../support/redis-server.ts";
import { LIMITS } from "../../support/stream-model.ts";

const ROUNDS = 50;

// The answer to the last UNSUBSCRIBE may come before, between and after the next changes.
it.each([0, 1, 2, 3, 5])("a topic that is left and wanted again after %i turns of the loop is heard", async (turns) => {
  const server = await RedisServer.start();
  const { engine } = await createRedisNode({ url: server.url });
  const heard: string[] = [];
  const owner: EngineOwner = {
    published: (topic) => heard.push(topic),
    relayed: noop,
    presenceChanged: noop,
    interrupted: noop,
    doubted: noop,
    healthChanged: noop,
    controlReceived: noop,
    nodeChanged: noop,
  };
  await engine.start(owner);
  const pass = async (): Promise<void> => {
    // The changes of one microtask are one.
    await Promise.resolve().then(noop);
    for (let count = 0; count < turns; count++) await turn();
  };
  const topics = Array.from({ length: ROUNDS }, (_, round) => `t${round}`);
  for (const topic of topics) {
    for (const changes of [1, 2]) {
      const first = engine.want(topic);
      if (changes === 1) await first;
      engine.unwant(topic);
      await pass();
    }
    await engine.want(topic);
    await engine.publish(topic, { frame: encodeText("text") }, LIMITS);
  }
  await vi.waitFor(() => expect(heard.toSorted()).toEqual(topics.toSorted()));
  expect(engine.gauges()).toMatchObject({ wanted_topics: ROUNDS });
});
