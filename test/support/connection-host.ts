/** The parts of a shard below a connection, without a thread. Used by tests of connections. */
import { onTestFinished } from "vitest";
import type { ConnectionHost } from "../../src/board/connection/connection-host.ts";
import { FlushQueue } from "../../src/board/connection/outbound/flush-queue.ts";
import { Bus } from "../../src/runtime/bus/bus.ts";
import { Topics } from "../../src/runtime/feeds/topics.ts";
import { TimerWheel } from "../../src/runtime/scheduling/timer-wheel.ts";
import { Counters } from "../../src/runtime/stats/counters.ts";
import { cellsWithoutMail } from "./cells.ts";

/** The parts of a shard that connections need. By default with generous limits, and without pings and listeners. */
export function createConnectionHost(overrides: Partial<ConnectionHost> = {}): ConnectionHost {
  const counters = new Counters();
  const wheel = new TimerWheel(5);
  onTestFinished(() => wheel.stop());
  return {
    shard: 0,
    options: {
      maxPayloadBytes: 1024 * 1024,
      maxFragments: 1000,
      maxMailboxMessages: 1024,
      maxMailboxBytes: 1024 * 1024,
      maxMails: 1024,
      maxBufferedBytes: 1024 * 1024,
      maxSubscriptions: 1024,
      slowConsumerPolicy: "close",
      rateLimitPolicy: "pause",
      pingIntervalMs: 0,
      pongTimeoutMs: 10_000,
      closeTimeoutMs: 10_000,
      handlerTimeoutMs: 0,
      handlerTimeoutAfterCloseMs: 0,
    },
    topics: new Topics(new Bus({ publishDropped: () => {} }), undefined),
    wheel,
    flushQueue: new FlushQueue(counters),
    counters,
    ...cellsWithoutMail(),
    events: { report: () => {} },
    escalate: (error) => {
      throw error;
    },
    connectionClosed: () => {},
    ...overrides,
  };
}
