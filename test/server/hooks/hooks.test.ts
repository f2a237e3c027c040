import { createHmac } from "node:crypto";
import { expect, it, onTestFinished, vi } from "vitest";
import { disconnectEvent } from "../../../src/server/hooks/hook-events.ts";
import {
  HookQueue,
  MAX_EVENT_BYTES_WAITING,
  MAX_EVENTS_IN_POST,
  MAX_EVENTS_WAITING,
} from "../../../src/server/hooks/hook-queue.ts";
import { Hooks } from "../../../src/server/hooks/hooks.ts";
import {
  type Application,
  backendConfig,
  client,
  deadUrl,
  endpointConfig,
  recordingLog,
  startApplication,
  startBackend,
  startTcp,
} from "./support/application.ts";

interface Event {
  readonly name: string;
  readonly channel?: string;
}

const eventsOf = (text: string): Event[] => JSON.parse(text).events;
const namesIn = ({ received }: Application) => received.flatMap(({ text }) => eventsOf(text).map(({ name }) => name));

/** Starts an application that takes every notification. */
const taking = () => startApplication((response) => response.writeHead(204).end());

function startQueue(url: string, options = {}, logged = recordingLog()): HookQueue {
  const queue = new HookQueue("hooks.disconnect", endpointConfig(url), "", logged.log, { firstPauseMs: 1, ...options });
  onTestFinished(() => queue.close(0));
  return queue;
}

function startHooks(url: string, { secret = "", vacatedAfterMs = 1 } = {}): Hooks {
  const config = endpointConfig(url);
  const all = { disconnect: config, occupancy: config, cacheMiss: config, secret };
  const hooks = new Hooks(all, { log: recordingLog().log, vacatedAfterMs });
  onTestFinished(() => hooks.close(0));
  return hooks;
}

it("tells of clients that have gone, with their meta", async () => {
  const application = await taking();
  const facts = client({ meta: Buffer.from('{"n":12345678901234567890}'), encoding: "binary" });
  const config = endpointConfig(application.url, { includeConnectionMeta: true });
  const before = Date.now();
  startHooks(application.url).disconnected(disconnectEvent(config, facts, 3012, "no pong"));
  await vi.waitFor(() => expect(application.received).toHaveLength(1));
  const [received] = application.received;
  expect(received?.text).toMatch(
    /^\{"time_ms":\d+,"events":\[\{"name":"disconnect","time_ms":\d+,"client":"d5c2b8ae","transport":"websocket","protocol":"protobuf","user":"42","code":3012,"reason":"no pong","meta":\{"n":12345678901234567890\}\}\]\}$/,
  );
  expect(JSON.parse(received?.text ?? "").time_ms).toBeGreaterThanOrEqual(before);
  expect(received?.headers).toMatchObject({ "content-type": "application/json" });
  expect(received?.headers).not.toHaveProperty("x-switchboard-signature");
});

it("tells of occupied and vacated channels, in order", async () => {
  const application = await taking();
  const hooks = startHooks(application.url);
  hooks.occupied("a");
  hooks.vacated("a");
  await vi.waitFor(() => expect(namesIn(application)).toEqual(["channel_occupied", "channel_vacated"]));
  expect(application.received.flatMap(({ text }) => eventsOf(text))[0]).toEqual({
    name: "channel_occupied",
    time_ms: expect.any(Number),
    channel: "a",
  });
});

it("tells of vacated channels at once when it closes", async () => {
  const application = await taking();
  const hooks = startHooks(application.url, { vacatedAfterMs: 60_000 });
  hooks.vacated("a");
  expect(hooks.snapshot()).toMatchObject({ channelsWaiting: 1, channelsToldEarly: 0 });
  await hooks.close(60_000);
  expect(namesIn(application)).toEqual(["channel_vacated"]);
  expect(hooks.snapshot().occupancy).toMatchObject({ waiting: 0, delivered: 1, dropped: 0 });
});

it("tells nothing that isn't enabled", async () => {
  const none = endpointConfig("");
  const all = { disconnect: none, occupancy: none, cacheMiss: none, secret: "" };
  const hooks = new Hooks(all, { log: recordingLog().log });
  hooks.occupied("a");
  hooks.vacated("a");
  hooks.disconnected("{}");
  expect(hooks.snapshot()).toEqual({ channelsWaiting: 0, channelsToldEarly: 0 });
  await hooks.close(0);
});

it("signs bodies", async () => {
  const application = await taking();
  const hooks = startHooks(application.url, { secret: "s3cret" });
  hooks.occupied("ü");
  await hooks.close(60_000);
  const config = backendConfig(application.url);
  await startBackend({ ...config, hooks: { ...config.hooks, secret: "s3cret" } }).cacheMissed(client(), "news");
  expect(application.received).toHaveLength(2);
  for (const { text, headers } of application.received) {
    expect(headers["x-switchboard-signature"]).toBe(createHmac("sha256", "s3cret").update(text).digest("hex"));
  }
});

it("sends what happens in one turn together, and the rest of many in further POSTs", async () => {
  const application = await taking();
  const queue = startQueue(application.url);
  const numbers = Array.from({ length: MAX_EVENTS_IN_POST * 2 + 1 }, (_, number) => number);
  for (const number of numbers) queue.add(`{"name":"${number}"}`);
  await queue.close(60_000);
  expect(application.received.map(({ text }) => eventsOf(text).length)).toEqual([100, 100, 1]);
  expect(namesIn(application)).toEqual(numbers.map(String));
  expect(application.connections()).toBe(1);
});

it("sends large events in POSTs of their own", async () => {
  const application = await taking();
  const queue = startQueue(application.url);
  for (const size of [300_000, 100_000, 100_000, 100_000]) queue.add(`{"name":"${"a".repeat(size)}"}`);
  await queue.close(60_000);
  expect(application.received.map(({ text }) => eventsOf(text).length)).toEqual([1, 2, 1]);
});

it("tries again until the application takes them, in order, with those that came meanwhile", async () => {
  const release = Promise.withResolvers<void>();
  let failures = 3;
  const application = await startApplication((response) => {
    void release.promise.then(() => response.writeHead(failures-- > 0 ? 500 : 200).end());
  });
  const logged = recordingLog();
  const queue = startQueue(application.url, {}, logged);
  queue.add('{"name":"a"}');
  await vi.waitFor(() => expect(application.received).toHaveLength(1));
  queue.add('{"name":"b"}');
  release.resolve();
  await vi.waitFor(() => expect(queue.snapshot()).toMatchObject({ waiting: 0, delivered: 2 }));
  expect(namesIn(application).join("")).toBe("aababab");
  expect(queue.snapshot()).toMatchObject({ waitingBytes: 0, dropped: 0, posts: 4, failures: 3 });
  expect(logged.lines.map(({ message }) => message)).toEqual([
    expect.stringContaining("it answered 500"),
    "the application answers again",
  ]);
});

it("gives up those that are too old", async () => {
  const queue = startQueue(await deadUrl(), { giveUpAfterMs: 0 });
  queue.add('{"name":"a"}');
  queue.add('{"name":"b"}');
  await vi.waitFor(() => expect(queue.snapshot()).toMatchObject({ waiting: 0, waitingBytes: 0, dropped: 2, posts: 1 }));
});

it("drops the oldest ones beyond the number that may wait", async () => {
  const sent = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const application = await startApplication((response) => {
    sent.resolve();
    void release.promise.then(() => response.end());
  });
  const logged = recordingLog();
  const queue = startQueue(application.url, {}, logged);
  queue.add('{"name":"first"}');
  await sent.promise;
  for (let number = 0; number < MAX_EVENTS_WAITING + 1; number++) queue.add(`{"name":"${number}"}`);
  // The first one is under way. It counts as dropped, although it may arrive.
  expect(queue.snapshot()).toMatchObject({ waiting: MAX_EVENTS_WAITING, dropped: 2 });
  expect(logged.lines).toEqual([
    { message: expect.stringContaining("notifications were dropped"), facts: expect.objectContaining({ dropped: 1 }) },
  ]);
  release.resolve();
  await queue.close(60_000);
  expect(queue.snapshot()).toMatchObject({ waiting: 0, waitingBytes: 0, delivered: MAX_EVENTS_WAITING, dropped: 2 });
  expect(namesIn(application)).toEqual(["first", ...Array.from({ length: MAX_EVENTS_WAITING }, (_, n) => `${n + 1}`)]);
});

it("drops the oldest ones beyond the bytes that may wait", async () => {
  const queue = startQueue(await startTcp(() => {}));
  const event = `"${"ü".repeat(512 * 1024)}"`;
  for (let number = 0; number < 9; number++) queue.add(event);
  expect(queue.snapshot()).toMatchObject({ waiting: 7, dropped: 2 });
  expect(queue.snapshot().waitingBytes).toBeLessThanOrEqual(MAX_EVENT_BYTES_WAITING);
  queue.add(`"${"a".repeat(MAX_EVENT_BYTES_WAITING)}"`);
  expect(queue.snapshot()).toMatchObject({ waiting: 7, dropped: 3 });
});

it("closes in time although the application hangs, and drops the rest", async () => {
  const queue = startQueue(await startTcp(() => {}));
  queue.add("1");
  queue.add("2");
  await queue.close(10);
  expect(queue.snapshot()).toMatchObject({ waiting: 0, waitingBytes: 0, dropped: 2, delivered: 0 });
  queue.add("3");
  expect(queue.snapshot()).toMatchObject({ waiting: 0, dropped: 3 });
});

it("asks once about a channel that many clients miss at once, and waits for the answer", async () => {
  let answer: (() => void) | undefined;
  const application = await startApplication((response) => {
    answer = () => response.end();
  });
  const backend = startBackend(backendConfig(application.url));
  let seen = 0;
  const asked = Array.from({ length: 10 }, () => backend.cacheMissed(client(), "news").then(() => seen++));
  await vi.waitFor(() => expect(answer).toBeDefined());
  expect(seen).toBe(0);
  answer?.();
  await Promise.all(asked);
  expect(application.received.map(({ text }) => JSON.parse(text))).toEqual([
    { time_ms: expect.any(Number), events: [{ name: "cache_miss", time_ms: expect.any(Number), channel: "news" }] },
  ]);
  const again = backend.cacheMissed(client(), "news");
  await vi.waitFor(() => expect(application.received).toHaveLength(2));
  answer?.();
  await again;
});

it("goes on if the application can't be told of a missed channel", async () => {
  const backend = startBackend(backendConfig(await deadUrl()));
  await backend.cacheMissed(client(), "news");
  expect(backend.snapshot()["cache_miss"]).toMatchObject({ failures: 1 });
});
