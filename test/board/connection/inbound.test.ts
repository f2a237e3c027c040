import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { type ControlEvent, Inbound } from "../../../src/board/connection/inbound.ts";
import type { RateOptions } from "../../../src/board/connection/rate-limit.ts";
import { FairScheduler } from "../../../src/runtime/scheduling/fair-scheduler.ts";
import { TimerWheel } from "../../../src/runtime/scheduling/timer-wheel.ts";
import { Counters } from "../../../src/runtime/stats/counters.ts";
import { Decoder } from "../../../src/wire/protocol/decoding/decoder.ts";
import { Inflater } from "../../../src/wire/protocol/deflate/inflater.ts";
import { Heartbeat } from "../../../src/wire/protocol/heartbeat.ts";
import type { Message } from "../../../src/wire/protocol/message.ts";
import { deflateBomb } from "../../support/deflate.ts";
import { FakeTransport } from "../../support/fake-transport.ts";
import { clientFrame, close, ping, text } from "../../support/frames.ts";

const MIB = 1024 * 1024;

function setUp(rates: RateOptions = { rateLimitPolicy: "pause" }, onOverRate: (inbound: Inbound) => void = () => {}) {
  const wheel = new TimerWheel(5);
  onTestFinished(() => wheel.stop());
  const transport = new FakeTransport();
  const heartbeat = new Heartbeat({ pingIntervalMs: 0, pongTimeoutMs: 1_000 }, wheel.nowMs);
  const inflater = new Inflater({ peerWindowBits: 15, peerContextTakeover: false });
  const decoder = new Decoder({ maxPayloadBytes: MIB, maxFragments: 10_000, inflater });
  const events: string[] = [];
  const sink = {
    full: false,
    takeRead: <T>(read: (this: T) => void, reader: T) => read.call(reader),
    deliver: ({ byteLength, text }: Message) => void events.push(byteLength > 100 ? "big" : text),
  };
  const owner = {
    rateExceededCount: 0,
    drained() {},
    ended() {},
    closed() {},
    controlReceived: ({ kind }: ControlEvent) => void events.push(kind),
    rateExceeded: () => {
      owner.rateExceededCount++;
      onOverRate(inbound);
    },
  };
  const inbound: Inbound = new Inbound(
    transport,
    decoder,
    { heartbeat, host: { wheel, turns: new FairScheduler(() => 0), counters: new Counters() }, rates },
    sink,
    owner,
  );
  const settle = async (): Promise<void> => {
    while (!inbound.reading) await turn();
  };
  return { transport, sink, owner, events, inbound, settle };
}

const numbered = (count: number, from = 0): string[] => Array.from({ length: count }, (_, i) => `${from + i}`);
const frames = (texts: readonly string[]): Buffer => Buffer.concat(texts.map((one) => text(one)));

describe("a turn", () => {
  it("ends after 256 messages, and the next turn continues", async () => {
    const { transport, events, inbound, settle } = setUp();
    inbound.received(frames(numbered(1_000)));
    expect(events).toEqual(numbered(256));
    expect(transport.reading).toBe(false);
    await turn();
    expect(events.length).toBeLessThanOrEqual(512);
    await settle();
    expect(events).toEqual(numbered(1_000));
    expect(transport.reading).toBe(true);
  });

  it("ends after 256 fragments, even if no message is complete", async () => {
    const { transport, events, inbound, settle } = setUp();
    const pieces = Array.from({ length: 998 }, () => clientFrame(0x0, "b", { fin: false }));
    inbound.received(Buffer.concat([clientFrame(0x1, "a", { fin: false }), ...pieces, clientFrame(0x0, "c")]));
    expect(transport.reading).toBe(false);
    let turns = 0;
    for (; !inbound.reading; turns++) await turn();
    expect(turns).toBeGreaterThanOrEqual(3);
    await settle();
    expect(events).toEqual(["big"]);
  });

  it("ends after 4 MiB of messages, however few bytes they had on the wire", async () => {
    const { events, inbound, settle } = setUp();
    const bomb = clientFrame(0x2, deflateBomb(MIB), { rsv: 0x4 });
    inbound.received(Buffer.concat(Array.from({ length: 50 }, () => bomb)));
    expect(events).toHaveLength(4);
    await settle();
    expect(events).toHaveLength(50);
  });

  it("ends after 4 MiB of messages from many reads together", async () => {
    const { transport, events, inbound, settle } = setUp();
    const bomb = clientFrame(0x2, deflateBomb(MIB), { rsv: 0x4 });
    for (let i = 0; i < 10; i++) {
      if (transport.reading) inbound.received(bomb);
    }
    expect(events).toHaveLength(4);
    await settle();
    expect(events).toHaveLength(5);
  });

  it("ends after 256 control frames", () => {
    const { events, inbound } = setUp();
    inbound.received(Buffer.concat(Array.from({ length: 1_000 }, () => ping())));
    expect(events).toHaveLength(256);
  });

  it("doesn't end for reads of usual size", async () => {
    const { transport, events, inbound } = setUp();
    for (let i = 0; i < 100; i++) inbound.received(frames(numbered(16, i * 16)));
    expect(events).toEqual(numbered(1_600));
    expect(transport.pauses).toBe(0);
  });

  it("keeps bytes that still come after its end, in order", async () => {
    const { events, inbound, settle } = setUp();
    const all = frames(numbered(600));
    // Like transports, one buffer for all reads.
    const buffer = Buffer.alloc(all.length);
    for (const [from, to] of [
      [0, 3_001],
      [3_001, all.length],
    ] as const) {
      const length = all.copy(buffer, 0, from, to);
      inbound.received(buffer.subarray(0, length));
      buffer.fill(0xff);
    }
    expect(events).toHaveLength(256);
    await settle();
    expect(events).toEqual(numbered(600));
  });
});

describe("a full mailbox", () => {
  it("stops reading until it has drained", () => {
    const { transport, events, inbound, sink } = setUp();
    sink.full = true;
    inbound.received(frames(numbered(3)));
    expect([events, transport.reading]).toEqual([[], false]);
    sink.full = false;
    inbound.mailboxHasRoom();
    expect([events, transport.reading]).toEqual([numbered(3), true]);
  });

  it("doesn't hide a close frame once messages are ignored", async () => {
    const { events, inbound, settle, sink } = setUp();
    sink.full = true;
    inbound.received(Buffer.concat([frames(numbered(3)), close(1000)]));
    sink.full = false;
    inbound.ignoreMessages();
    await settle();
    expect(events.at(-1)).toBe("close");
  });

  it("doesn't stop reading once all bytes are ignored", () => {
    const { transport, events, inbound, sink } = setUp();
    sink.full = true;
    inbound.received(frames(numbered(3)));
    inbound.ignoreBytes();
    inbound.received(frames(numbered(3)));
    expect([events, transport.reading]).toEqual([[], true]);
  });
});

describe("rate limits", () => {
  it("stop reading at the message that exceeds them, until the rate allows more", async () => {
    const { transport, owner, events, inbound, settle } = setUp({ rateLimitPolicy: "pause", maxMessagesPerSecond: 20 });
    inbound.received(frames(numbered(25)));
    expect(events).toEqual(numbered(21));
    expect([transport.reading, owner.rateExceededCount]).toEqual([false, 1]);
    await settle();
    expect(events.length).toBeGreaterThan(21);
  });

  it("in bytes stop reading after the read that exceeds them", () => {
    const { transport, owner, events, inbound } = setUp({ rateLimitPolicy: "pause", maxBytesPerSecond: 100 });
    inbound.received(frames(numbered(10)));
    expect([events.length, transport.reading, owner.rateExceededCount]).toEqual([10, true, 0]);
    inbound.received(frames(numbered(10)));
    expect([transport.reading, owner.rateExceededCount]).toEqual([false, 1]);
  });

  it("can end the connection instead", () => {
    const { events, inbound } = setUp({ rateLimitPolicy: "close", maxMessagesPerSecond: 5 }, (one) =>
      one.ignoreBytes(),
    );
    inbound.received(frames(numbered(25)));
    expect(events).toEqual(numbered(5));
  });
});
