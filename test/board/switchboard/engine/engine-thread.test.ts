import { expect, it, onTestFinished, vi } from "vitest";
import { EngineThread, type EngineThreadOwner } from "../../../../src/board/switchboard/engine/engine-thread.ts";
import { ShardThreads } from "../../../../src/board/switchboard/pool/shard-threads.ts";
import { EngineClient } from "../../../../src/runtime/engine/client/engine-client.ts";
import { memory } from "../../../../src/runtime/streams/memory/memory-options.ts";
import { RecordingFeed, RULES, text, until } from "../../../runtime/engine/host.ts";

/** Returns an engine whose module has this source. */
function engineOf(source: string) {
  return { name: "test", module: `data:text/javascript,${encodeURIComponent(source)}`, options: {} };
}

/** Starts an engine in a real thread. */
async function start(
  engine = memory(),
  owner: Partial<EngineThreadOwner> = {},
  startTimeoutMs = 60_000,
  blockedTimeoutMs = 0,
) {
  const threads = await ShardThreads.start(1, {});
  onTestFinished(() => threads.end());
  const told = { engineLost: vi.fn(), engineReplaced: vi.fn(), engineFailed: vi.fn(), ...owner };
  const settings = { engine, node: "node-1", rules: RULES, startTimeoutMs, blockedTimeoutMs };
  return EngineThread.start(threads, settings, told);
}

it("clients of several threads share one engine in a thread of its own", async () => {
  const thread = await start();
  const [one, other] = [new EngineClient(), new EngineClient()];
  const feed = new RecordingFeed();
  one.connect(thread.giveClient());
  other.connect(thread.giveClient());
  expect(thread.isShared).toBe(false);
  await other.want("s", feed, { presence: false });
  expect((await one.publish("s", text("a"))).position.offset).toBe(1);
  await until(() => feed.texts.length === 1);
  expect(feed.texts).toEqual(["a"]);
  await thread.stop();
  await until(() => !one.isConnected && !other.isConnected);
});

it("a thread that dies is replaced, clients get what was under way rejected, and their wants are renewed", async () => {
  const client = new EngineClient();
  const [engineLost, engineFailed] = [vi.fn(), vi.fn()];
  const engineReplaced = (): void => client.connect(thread.giveClient());
  const thread = await start(memory(), { engineLost, engineFailed, engineReplaced });
  client.connect(thread.giveClient());
  const feed = new RecordingFeed();
  const top = await client.want("s", feed, { presence: false });
  await client.publish("s", text("before"));
  const lost = client.publish("s", text("lost"));
  thread.terminate();
  await expect(lost).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
  await until(() => engineLost.mock.calls.length === 1);
  expect(engineLost.mock.calls[0]).toMatchObject([{ code: "ERR_ENGINE_UNAVAILABLE" }]);
  await until(() => feed.tops.length === 2);
  expect(feed.tops[1]?.epoch).not.toBe(top?.epoch);
  await client.publish("s", text("after"));
  await until(() => feed.texts.includes("after"));
  expect(feed.publications.at(-1)).toMatchObject({ epoch: feed.tops[1]?.epoch, offset: 1 });
  expect(engineFailed).not.toHaveBeenCalled();
  await thread.stop();
  expect(engineLost).toHaveBeenCalledOnce();
});

it("a thread whose event loop is blocked is ended and replaced, and clients go on as after a crash", async () => {
  const client = new EngineClient();
  const engineLost = vi.fn();
  const engineReplaced = vi.fn((): void => client.connect(thread.giveClient()));
  const mortal = { ...memory(), module: new URL("../../../support/engines/mortal.ts", import.meta.url).href };
  const thread = await start(mortal, { engineLost, engineReplaced }, 60_000, 2_000);
  client.connect(thread.giveClient());
  const feed = new RecordingFeed();
  const top = await client.want("s", feed, { presence: false });
  const lost = client.publish("standstill", text("last"));
  await expect(lost).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
  await until(() => engineReplaced.mock.calls.length === 1);
  expect(engineLost.mock.calls).toMatchObject([
    [
      {
        code: "ERR_ENGINE_UNAVAILABLE",
        message: expect.stringMatching(/stood still for longer than shardTimeoutMs \(2000/),
      },
    ],
  ]);
  await until(() => feed.tops.length === 2);
  expect(feed.tops[1]?.epoch).not.toBe(top?.epoch);
  expect((await client.publish("s", text("after"))).position).toEqual({ epoch: feed.tops[1]?.epoch, offset: 1 });
  await thread.stop();
  expect(engineLost).toHaveBeenCalledOnce();
});

it("the client of the main thread is told health, gauges, nodes and control messages", async () => {
  const healths: unknown[] = [];
  const gauges: unknown[] = [];
  const thread = await start();
  const main = new EngineClient({
    healthChanged: (health) => healths.push(health),
    gaugesTold: (told) => gauges.push(told),
  });
  main.connect(thread.giveClient(true));
  await until(() => healths.length > 0 && gauges.length > 0);
  expect(healths).toEqual([{ status: "up" }]);
  expect(gauges[0]).toMatchObject({ clients: 1, wanted_topics: 0, deliveries_dropped: 0 });
  await thread.stop();
});

it.for([
  {
    fault: "can't reach its server",
    source: `export default () => ({ start: async () => {
      throw Object.assign(new Error("no server at x"), { code: "ERR_ENGINE_UNREACHABLE" });
    } })`,
    error: { code: "ERR_ENGINE_UNREACHABLE", kind: "transport", message: "no server at x" },
  },
  { fault: "exports no function", source: "export default 1", error: { code: "ERR_OPTION", kind: "configuration" } },
  { fault: "throws while it is loaded", source: 'throw new TypeError("bad")', error: { message: "bad" } },
  {
    fault: "ends its thread",
    source: "export default () => process.exit(7)",
    error: { code: "ERR_ENGINE_UNAVAILABLE", message: "the engine thread exited with code 7" },
  },
])("start rejects with the reason when the engine $fault", async ({ source, error }) => {
  const engineLost = vi.fn();
  await expect(start(engineOf(source), { engineLost })).rejects.toMatchObject(error);
  expect(engineLost).not.toHaveBeenCalled();
});

it("an engine that can't start is stopped, so that it leaves nothing in its thread", async () => {
  const engine = engineOf(`export default () => ({
    start: async () => { throw new Error("no server"); },
    stop: async () => new BroadcastChannel("engine-stopped").postMessage("stopped"),
  })`);
  const channel = new BroadcastChannel("engine-stopped");
  onTestFinished(() => channel.close());
  const stopped = new Promise((resolve) => {
    channel.onmessage = resolve;
  });
  await expect(start(engine)).rejects.toThrow("no server");
  await stopped;
});

it("start rejects when the engine doesn't work in time", async () => {
  const engine = engineOf("export default () => ({ start: () => new Promise(() => {}) })");
  await expect(start(engine, {}, 1_000)).rejects.toMatchObject({ code: "ERR_START_TIMEOUT" });
});

it("an engine that crashes again and again is given up", async () => {
  const engine = engineOf(`export default () => ({
    isShared: false, start: async () => void setTimeout(() => { throw new Error("broken"); }, 0), gauges: () => ({}),
  })`);
  vi.useFakeTimers({ toFake: ["setTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const lost: unknown[] = [];
  const failed = Promise.withResolvers<Error>();
  const thread = await start(engine, {
    engineLost: (error) => {
      lost.push(error);
      // The delay grows beyond what a test should wait.
      if (lost.length < 5) setImmediate(() => vi.advanceTimersByTime(10_000));
    },
    engineFailed: failed.resolve,
  });
  expect(await failed.promise).toMatchObject({ message: "broken" });
  expect(lost.length).toBe(5);
  vi.useRealTimers();
  await thread.stop();
});
