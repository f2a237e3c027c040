import { once } from "node:events";
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { Subscriber } from "../../../src/runtime/bus/audience.ts";
import { Bus } from "../../../src/runtime/bus/bus.ts";
import type { Encode } from "../../../src/runtime/streams/publication.ts";
import { encodeFrame, encodeText, type Frame } from "../../../src/wire/protocol/frame.ts";
import { Opcode } from "../../../src/wire/protocol/opcode.ts";
import type { SendResult } from "../../../src/wire/protocol/send-result.ts";

interface TestBus {
  readonly bus: Bus;
  readonly dropped: () => number;
}

function createBus(): TestBus {
  let dropped = 0;
  const bus = new Bus({ publishDropped: () => dropped++ });
  onTestFinished(() => bus.close());
  return { bus, dropped: () => dropped };
}

async function connect(one: TestBus, other: TestBus): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  await Promise.all([one.bus.addLink(port1), other.bus.addLink(port2)]);
}

/** Buses with a link between each two of them. */
async function mesh(count: number): Promise<TestBus[]> {
  const buses = Array.from({ length: count }, createBus);
  for (const [i, one] of buses.entries()) {
    for (const other of buses.slice(i + 1)) await connect(one, other);
  }
  return buses;
}

async function two(): Promise<{ near: TestBus; far: TestBus }> {
  const [near, far] = await mesh(2);
  if (near === undefined || far === undefined) throw new Error("two were asked for");
  return { near, far };
}

/** A subscriber that keeps the texts it gets. */
class Inbox implements Subscriber {
  readonly texts: string[] = [];
  /** The outcome that the subscriber returns. */
  outcome: SendResult = "sent";

  deliver({ block, start, end }: Frame): SendResult {
    this.texts.push(block.toString("utf8", start + 2, end));
    return this.outcome;
  }
}

it("delivers to subscribers in the publisher's thread within the call", () => {
  const { bus } = createBus();
  const inbox = new Inbox();
  void bus.subscribe("news", inbox);
  bus.publish("news", encodeText("hello"));
  expect(inbox.texts).toEqual(["hello"]);
});

it("doesn't deliver to the one subscriber that is excluded", () => {
  const { bus } = createBus();
  const [publisher, other] = [new Inbox(), new Inbox()];
  void bus.subscribe("news", publisher);
  void bus.subscribe("news", other);
  bus.publish("news", encodeText("hello"), publisher);
  expect({ publisher: publisher.texts, other: other.texts }).toEqual({ publisher: [], other: ["hello"] });
});

it("returns the outcomes of a publish: in this thread by outcome, and the number of other threads it went to", async () => {
  const [near, ...others] = await mesh(4);
  if (near === undefined) throw new Error("four were asked for");
  const outcomes: SendResult[] = ["sent", "sent", "sent", "buffered", "buffered", "dropped", "closed"];
  for (const outcome of outcomes) {
    const inbox = new Inbox();
    inbox.outcome = outcome;
    await near.bus.subscribe("news", inbox);
  }
  for (const { bus } of others.slice(0, 2)) await bus.subscribe("news", new Inbox());
  const result = { delivered: 3, buffered: 2, dropped: 1, closed: 1, remote: 2, remoteDropped: 0 };
  expect(near.bus.publish("news", encodeText("hello"))).toEqual(result);
  const nobody = { delivered: 0, buffered: 0, dropped: 0, closed: 0, remote: 0, remoteDropped: 0 };
  expect(near.bus.publish("sport", encodeText("hello"))).toEqual(nobody);
});

it("doesn't count the excluded subscriber", () => {
  const { bus } = createBus();
  const publisher = new Inbox();
  void bus.subscribe("news", publisher);
  void bus.subscribe("news", new Inbox());
  expect(bus.publish("news", encodeText("hello"), publisher)).toMatchObject({ delivered: 1, remote: 0 });
});

it("counts a subscriber that subscribes twice as one", () => {
  const { bus } = createBus();
  const inbox = new Inbox();
  void bus.subscribe("news", inbox);
  void bus.subscribe("news", inbox);
  bus.publish("news", encodeText("once"));
  bus.unsubscribe("news", inbox);
  bus.publish("news", encodeText("never"));
  expect(inbox.texts).toEqual(["once"]);
});

it("delivers only the topics that were subscribed to", () => {
  const { bus } = createBus();
  const inbox = new Inbox();
  void bus.subscribe("news", inbox);
  for (const topic of ["new", "newss", "News", "sport"]) bus.publish(topic, encodeText("no"));
  expect(inbox.texts).toEqual([]);
});

it.each(["", "a".repeat(256), "é".repeat(128)])("refuses to subscribe to or publish on an invalid topic", (topic) => {
  const { bus } = createBus();
  const error = expect.objectContaining({ code: "ERR_TOPIC" });
  expect(() => bus.subscribe(topic, new Inbox())).toThrow(error);
  expect(() => bus.publish(topic, encodeText("x"))).toThrow(error);
});

it("reaches the subscribers of every thread once subscribe has resolved", async () => {
  const buses = await mesh(3);
  const inboxes = buses.map(() => new Inbox());
  await Promise.all(buses.map(({ bus }, i) => bus.subscribe("news", inboxes[i] ?? new Inbox())));
  for (const [i, { bus }] of buses.entries()) bus.publish("news", encodeText(`from ${i}`));
  for (const inbox of inboxes) {
    await vi.waitFor(() => expect(inbox.texts.toSorted()).toEqual(["from 0", "from 1", "from 2"]));
  }
});

it("resolves a second subscription to a topic only when all threads know the first one", async () => {
  const { near, far } = await two();
  const [first, second] = [new Inbox(), new Inbox()];
  void near.bus.subscribe("news", first);
  await near.bus.subscribe("news", second);
  far.bus.publish("news", encodeText("hello"));
  await vi.waitFor(() => expect(second.texts).toEqual(["hello"]));
});

it("tells a thread that is linked later about existing subscriptions", async () => {
  const [near, far] = [createBus(), createBus()];
  const inbox = new Inbox();
  await near.bus.subscribe("news", inbox);
  await connect(near, far);
  far.bus.publish("news", encodeText("hello"));
  await vi.waitFor(() => expect(inbox.texts).toEqual(["hello"]));
});

it("stops delivering after unsubscribe, and starts again after subscribe", async () => {
  const { near, far } = await two();
  const [inbox, end] = [new Inbox(), new Inbox()];
  await near.bus.subscribe("end", end);
  await near.bus.subscribe("news", inbox);
  near.bus.unsubscribe("news", inbox);
  far.bus.publish("news", encodeText("lost"));
  far.bus.publish("end", encodeText("end"));
  await vi.waitFor(() => expect(end.texts).toEqual(["end"]));
  expect(inbox.texts).toEqual([]);

  await near.bus.subscribe("news", inbox);
  far.bus.publish("news", encodeText("back"));
  await vi.waitFor(() => expect(inbox.texts).toEqual(["back"]));
});

it("keeps delivering to the other subscribers of a topic when one leaves", async () => {
  const { near, far } = await two();
  const [stays, leaves] = [new Inbox(), new Inbox()];
  await near.bus.subscribe("news", stays);
  await near.bus.subscribe("news", leaves);
  near.bus.unsubscribe("news", leaves);
  far.bus.publish("news", encodeText("hello"));
  await vi.waitFor(() => expect(stays.texts).toEqual(["hello"]));
  expect(leaves.texts).toEqual([]);
});

it("ignores the end of a subscription that doesn't exist", async () => {
  const { near, far } = await two();
  const inbox = new Inbox();
  near.bus.unsubscribe("news", inbox);
  await near.bus.subscribe("news", inbox);
  near.bus.unsubscribe("news", new Inbox());
  far.bus.publish("news", encodeText("hello"));
  await vi.waitFor(() => expect(inbox.texts).toEqual(["hello"]));
});

it("keeps a publisher's order over all of its publishes to a topic", async () => {
  const { near, far } = await two();
  const inbox = new Inbox();
  await near.bus.subscribe("news", inbox);
  const sent: string[] = [];
  for (let i = 0; i < 20_000; i++) {
    // Small frames fill batches. Some frames are larger than a batch.
    const text = `${i}${i % 5_000 === 0 ? "x".repeat(110) : ""}`;
    sent.push(text);
    far.bus.publish("news", encodeText(text));
    if (i % 3_000 === 0) await new Promise(setImmediate);
  }
  await vi.waitFor(() => expect(inbox.texts).toHaveLength(sent.length));
  expect(inbox.texts).toEqual(sent);
});

it("delivers frames of several megabytes unchanged", async () => {
  const { near, far } = await two();
  const got: Buffer[] = [];
  await near.bus.subscribe("big", {
    deliver: ({ block, start, end }) => {
      got.push(Buffer.from(block.subarray(start, end)));
      return "sent";
    },
  });
  const frames = [3, 7].map((size) => encodeFrame(Opcode.binary, Buffer.alloc(size * 1024 * 1024, `${size}`)));
  for (const frame of frames) far.bus.publish("big", frame);
  await vi.waitFor(() => expect(got).toHaveLength(2));
  for (const [i, { block, start, end }] of frames.entries()) {
    expect(got[i]?.equals(block.subarray(start, end))).toBe(true);
  }
});

it("posts nothing to a thread without subscribers of the topic", async () => {
  const { bus } = createBus();
  const { port1, port2 } = new MessageChannel();
  const posted: { readonly kind: string }[] = [];
  port2.on("message", (message: { readonly kind: string }) => posted.push(message));
  port2.postMessage({ kind: "interest", serial: 0, topics: ["wanted"], ids: [1] });
  await bus.addLink(port1);

  bus.publish("unwanted", encodeText("no"));
  // One turn of the loop later everything queued has been posted. Later posts come after it.
  await new Promise(setImmediate);
  bus.publish("wanted", encodeText("yes"));
  await vi.waitFor(() => expect(posted.map(({ kind }) => kind)).toEqual(["interest", "interestKnown", "publishes"]));
});

it("ignores messages of other kinds on its port, which other parts handle", async () => {
  const { bus } = createBus();
  const { port1, port2 } = new MessageChannel();
  const posted: { readonly kind: string }[] = [];
  port2.on("message", (message: { readonly kind: string }) => posted.push(message));
  port2.postMessage({ kind: "mail", serial: 0, topics: ["mail"], ids: [1], bytes: 1 });
  port2.postMessage({ kind: "interest", serial: 1, topics: ["wanted"], ids: [2] });
  await bus.addLink(port1);
  expect(bus.publish("mail", encodeText("no")).remote).toBe(0);
  expect(bus.publish("wanted", encodeText("yes")).remote).toBe(1);
  await vi.waitFor(() => expect(posted.map(({ kind }) => kind)).toEqual(["interest", "interestKnown", "publishes"]));
});

it("resolves a subscription when every thread knows it, even a thread that was linked in the same tick", async () => {
  const [near, far] = [createBus(), createBus()];
  const inbox = new Inbox();
  const first = near.bus.subscribe("first", inbox);
  const linked = connect(near, far);
  await Promise.all([first, near.bus.subscribe("second", inbox)]);
  expect(far.bus.publish("second", encodeText("hello")).remote).toBe(1);
  await linked;
  await vi.waitFor(() => expect(inbox.texts).toEqual(["hello"]));
});

it("resolves thousands of subscriptions of one tick together, and those of later ticks on their own", async () => {
  const { near, far } = await two();
  const inbox = new Inbox();
  const topics = Array.from({ length: 3_000 }, (_, i) => `topic ${i}`);
  await Promise.all(topics.map((topic) => near.bus.subscribe(topic, inbox)));
  for (const topic of topics) expect(far.bus.publish(topic, encodeText("hello")).remote).toBe(1);
  await near.bus.subscribe("later", inbox);
  expect(far.bus.publish("later", encodeText("hello")).remote).toBe(1);
});

it("counts publishes dropped on the way to a thread that is more than 64 MiB behind", async () => {
  const { near, far } = await two();
  let delivered = 0;
  const deliver = (): SendResult => {
    delivered++;
    return "sent";
  };
  await near.bus.subscribe("big", { deliver });
  const frame = encodeFrame(Opcode.binary, Buffer.alloc(1024 * 1024));
  let refused = 0;
  for (let i = 0; i < 70; i++) {
    const { remote, remoteDropped } = far.bus.publish("big", frame);
    expect(remote + remoteDropped).toBe(1);
    refused += remoteDropped;
  }
  expect(refused).toBe(far.dropped());
  expect(far.dropped()).toBeGreaterThanOrEqual(5);
  expect(far.dropped()).toBeLessThanOrEqual(7);
  await vi.waitFor(() => expect(delivered).toBe(70 - far.dropped()), { timeout: 20_000 });
  expect(near.dropped()).toBe(0);
});

/** A thread that echoes: publishes to "out" come back on "back". Posts a message when it has subscribed. */
const echoThread = `
import { workerData, parentPort } from "node:worker_threads";
import { Bus } from ${JSON.stringify(new URL("../../../src/runtime/bus/bus.ts", import.meta.url).href)};
const bus = new Bus({ publishDropped() {} });
await bus.addLink(workerData);
await bus.subscribe("out", { deliver: (frame) => bus.publish("back", frame) });
parentPort.postMessage("subscribed");
`;

async function startEchoThread(port: MessagePort): Promise<Worker> {
  const source = new URL(`data:text/javascript,${encodeURIComponent(echoThread)}`);
  const worker = new Worker(source, { workerData: port, transferList: [port] });
  onTestFinished(async () => void (await worker.terminate()));
  await once(worker, "message");
  return worker;
}

it("carries publishes to another thread and back, in order and once", async () => {
  const { bus, dropped } = createBus();
  const inbox = new Inbox();
  await bus.subscribe("back", inbox);
  const { port1, port2 } = new MessageChannel();
  const linked = bus.addLink(port1);
  await startEchoThread(port2);
  await linked;
  const sent = Array.from({ length: 5_000 }, (_, i) => `${i}`);
  for (const text of sent) bus.publish("out", encodeText(text));
  await vi.waitFor(() => expect(inbox.texts).toHaveLength(sent.length), { timeout: 20_000 });
  expect(inbox.texts).toEqual(sent);
  expect(dropped()).toBe(0);
});

it("continues without a thread that has died, and stops waiting for it", async () => {
  const { bus, dropped } = createBus();
  const { port1, port2 } = new MessageChannel();
  const linked = bus.addLink(port1);
  const worker = await startEchoThread(port2);
  await linked;
  await worker.terminate();
  const inbox = new Inbox();
  await bus.subscribe("news", inbox);
  bus.publish("out", encodeText("to nobody"));
  bus.publish("news", encodeText("hello"));
  expect(inbox.texts).toEqual(["hello"]);
  expect(dropped()).toBe(0);
});

describe("a subscription with an encode", () => {
  const loud = vi.fn<Encode>(({ topic, offset, message }) => `${topic} ${offset} ${message.text.toUpperCase()}`);

  it("gets the messages that the function makes of them, once for all subscribers with the function", async () => {
    const { near, far } = await two();
    const [one, two_, plain, distant] = [new Inbox(), new Inbox(), new Inbox(), new Inbox()];
    await Promise.all([near.bus.subscribe("news", one, loud), near.bus.subscribe("news", two_, loud)]);
    await near.bus.subscribe("news", plain);
    await far.bus.subscribe("news", distant, loud);
    loud.mockClear();
    const result = near.bus.publish("news", encodeText("hello"));
    expect([one.texts, two_.texts, plain.texts]).toEqual([["news 0 HELLO"], ["news 0 HELLO"], ["hello"]]);
    expect(result).toMatchObject({ delivered: 3, remote: 1 });
    expect(loud).toHaveBeenCalledTimes(1);
    await vi.waitFor(() => expect(distant.texts).toEqual(["news 0 HELLO"]));
  });

  it("gets nothing where the function returns undefined", async () => {
    const { bus } = createBus();
    const inbox = new Inbox();
    await bus.subscribe("news", inbox, ({ message }) => (message.text === "no" ? undefined : message));
    const results = ["yes", "no"].map((text) => bus.publish("news", encodeText(text)).delivered);
    expect({ results, texts: inbox.texts }).toEqual({ results: [1, 0], texts: ["yes"] });
  });

  it("isn't the publisher's, where that is excluded", async () => {
    const { bus } = createBus();
    const [publisher, other] = [new Inbox(), new Inbox()];
    await Promise.all([publisher, other].map((inbox) => bus.subscribe("news", inbox, loud)));
    bus.publish("news", encodeText("hello"), publisher);
    expect([publisher.texts, other.texts]).toEqual([[], ["news 0 HELLO"]]);
  });

  it("keeps the topic wanted by other threads until the last one leaves", async () => {
    const { near, far } = await two();
    const inbox = new Inbox();
    await far.bus.subscribe("news", inbox, loud);
    expect(near.bus.publish("news", encodeText("a")).remote).toBe(1);
    far.bus.unsubscribe("news", inbox, loud);
    await vi.waitFor(() => expect(near.bus.publish("news", encodeText("b")).remote).toBe(0));
  });

  it("is told when the function throws; others get their message", async () => {
    const { bus } = createBus();
    const failed: unknown[] = [];
    const inbox = new Inbox();
    const broken = { deliver: () => "sent" as const, encodeFailed: (error: unknown) => failed.push(error) };
    await bus.subscribe("news", broken, () => {
      throw new Error("no");
    });
    await bus.subscribe("news", inbox, loud);
    expect(bus.publish("news", encodeText("hello")).delivered).toBe(1);
    expect({ failed, texts: inbox.texts }).toEqual({ failed: [new Error("no")], texts: ["news 0 HELLO"] });
  });
});
