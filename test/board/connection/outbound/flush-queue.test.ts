import { setImmediate as turn } from "node:timers/promises";
import { expect, it } from "vitest";
import { FlushQueue } from "../../../../src/board/connection/outbound/flush-queue.ts";
import { Counters } from "../../../../src/runtime/stats/counters.ts";

it("counts the messages of a tick before it writes them", async () => {
  const counters = new Counters();
  const queue = new FlushQueue(counters);
  const counted: (readonly [messages: number, bytes: number])[] = [];
  queue.add({ flushQueued: () => counted.push([counters.get("messagesSent"), counters.get("bytesSent")]) });
  queue.countSent(10);
  queue.countSent(20);
  await turn();
  expect(counted).toEqual([[2, 30]]);
});

it("counts messages in a tick that writes nothing, and each message once", async () => {
  const counters = new Counters();
  const queue = new FlushQueue(counters);
  for (const bytes of [10, 20]) {
    queue.countSent(bytes);
    await turn();
  }
  expect([counters.get("messagesSent"), counters.get("bytesSent")]).toEqual([2, 30]);
});
