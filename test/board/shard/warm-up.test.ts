import { once } from "node:events";
import { MessageChannel } from "node:worker_threads";
import { expect, it, onTestFinished, vi } from "vitest";
import { Connection } from "../../../src/board/connection/connection.ts";
import { closedChannel, openedChannel, upgradeChannel } from "../../../src/board/connection/diagnostics.ts";
import type { ShardTask } from "../../../src/board/shard/messages.ts";
import { runShard } from "../../../src/board/shard/run-shard.ts";
import { WarmUpActor } from "../../../src/board/shard/warm-up.ts";
import { checkStartOptions } from "../../../src/board/switchboard/options/start-options.ts";
import type { StartOptions } from "../../../src/index.ts";
import { Counters } from "../../../src/runtime/stats/counters.ts";
import { createMeterMemory } from "../../../src/runtime/stats/event-loop-meter.ts";
import type { Message } from "../../../src/wire/protocol/message.ts";
import { createHandoffChannel } from "../../../src/wire/transport/pending-handoffs.ts";
import { actorUrl } from "../../support/board.ts";

/** Runs one shard in this thread until it is ready, and stops it. Returns its counters and the kinds of its reports. */
async function startShard(options: Partial<StartOptions> = {}) {
  const counters = new Counters();
  const control = new MessageChannel();
  const end = () => createHandoffChannel().receiver;
  const { warmUp, connection } = checkStartOptions({ actor: actorUrl("echo"), ...options });
  const task: ShardTask = {
    shard: 0,
    life: 1,
    addressPrefix: "",
    actors: new Map([[undefined, actorUrl("echo").href]]),
    warmUp,
    options: connection,
    trustedProxies: [],
    counters: counters.memory,
    meter: createMeterMemory(),
    pulse: undefined,
    control: control.port2,
    handoff: end(),
    relay: end(),
    rawSockets: end(),
    uringEstate: undefined,
    engine: undefined,
    links: [],
  };
  const ended = runShard(task);
  const [report] = await once(control.port1, "message");
  control.port1.postMessage({ kind: "stop" });
  expect(await ended).toBeUndefined();
  return { counters, firstReport: report.kind };
}

function spies() {
  const opened = vi.spyOn(Connection.prototype, "open");
  const closed = vi.spyOn(WarmUpActor.prototype, "closed");
  const received = vi.spyOn(WarmUpActor.prototype, "received");
  const gone = vi.spyOn(Connection.prototype, "closed");
  onTestFinished(() => void vi.restoreAllMocks());
  return { opened, closed, received, gone };
}

it("opens, uses and closes connections in memory before a shard is ready", async () => {
  const { opened, closed, received, gone } = spies();
  await startShard();
  expect(opened.mock.calls.length).toBeGreaterThanOrEqual(10);
  await vi.waitFor(() => expect(closed).toHaveBeenCalledWith(1000, ""));
  // The transport has then been removed and makes room for the next connection.
  await vi.waitFor(() => expect(gone).toHaveBeenCalled());
  const kinds = received.mock.calls.slice(0, 2).map(([message]) => (message as Message).type);
  expect(kinds).toEqual(["text", "binary"]);
});

it("leaves no trace in a shard's counters and reports", async () => {
  const { opened } = spies();
  const { counters, firstReport } = await startShard();
  expect(opened).toHaveBeenCalled();
  expect(firstReport).toBe("ready");
  // What the shard measures from time to time, also without a connection.
  const measured = { heapUsedBytes: 0, memoryBytes: 0, eventLoopUtilization: 0, eventLoopDelayMs: 0 };
  expect({ ...counters.snapshot(), ...measured }).toEqual({ ...new Counters().snapshot(), ...measured });
  expect(counters.upgrades.snapshot()).toEqual(new Counters().upgrades.snapshot());
});

it("isn't stopped by limits that its messages would reach", async () => {
  const { closed } = spies();
  await startShard({ maxMessagesPerSecond: 1, maxBytesPerSecond: 1, maxPayloadBytes: 1, maxMailboxMessages: 1 });
  await vi.waitFor(() => expect(closed).toHaveBeenCalledWith(1000, ""));
});

it("can be disabled", async () => {
  const { opened } = spies();
  await startShard({ warmUp: false });
  expect(opened).not.toHaveBeenCalled();
});

it.each([upgradeChannel, openedChannel, closedChannel])("doesn't run if somebody listens on $name", async (channel) => {
  const { opened } = spies();
  const published = vi.fn();
  channel.subscribe(published);
  onTestFinished(() => void channel.unsubscribe(published));
  await startShard();
  expect(opened).not.toHaveBeenCalled();
  expect(published).not.toHaveBeenCalled();
});
