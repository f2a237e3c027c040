import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { FlushQueue } from "../../../../src/board/connection/outbound/flush-queue.ts";
import { Outbound } from "../../../../src/board/connection/outbound/outbound.ts";
import { FairScheduler, TURN_MS } from "../../../../src/runtime/scheduling/fair-scheduler.ts";
import { Counters } from "../../../../src/runtime/stats/counters.ts";
import { encodeText, type Frame } from "../../../../src/wire/protocol/frame.ts";
import type { SlowConsumerPolicy } from "../../../../src/wire/protocol/slow-consumer-policy.ts";
import type { Transport } from "../../../../src/wire/transport/transport.ts";

const KIB = 1024;
const large = encodeText("x".repeat(64 * KIB));
const small = encodeText("hello");
const bytesOf = ({ start, end }: Frame): number => end - start;

/** The writing side of a shard's connections, with a clock that moves by `takesMs` at each write. */
function shard(
  takesMs: (bytes: number) => number,
  maxBufferedBytes = KIB * KIB,
  slowConsumerPolicy: SlowConsumerPolicy = "close",
) {
  let now = 0;
  const turns = new FairScheduler(() => now);
  const flushQueue = new FlushQueue(new Counters(), () => now);
  const counters = new Counters();
  /** Names of the connections that wrote, in order. */
  const log: string[] = [];
  const connect = (name: string) => {
    const taken: Buffer[] = [];
    const transport: Transport & { bufferedBytes: number; reads: boolean } = {
      ...{ bufferedBytes: 0, reads: true, start() {}, pause() {}, resume() {}, end() {}, destroy() {} },
      write(bytes: Buffer): void {
        log.push(name);
        taken.push(bytes);
        now += takesMs(bytes.length);
        if (!transport.reads) transport.bufferedBytes += bytes.length;
      },
    };
    const host = { flushQueue, turns, counters, options: { maxBufferedBytes, slowConsumerPolicy } };
    return { name, taken, transport, outbound: new Outbound(transport, host, { boundReached() {} }) };
  };
  return { log, connect };
}

const crowd = Array.from({ length: 20 }, (_, i) => `subscriber ${i}`);

describe("a fan-out of a large frame", () => {
  it("is written to as many subscribers as a turn has time for, and to the others in later turns, in order", async () => {
    const { log, connect } = shard(() => TURN_MS / 4);
    const subscribers = crowd.map(connect);
    for (const { outbound } of subscribers) expect(outbound.push(large, "news")).toBe("sent");
    expect(log).toEqual(crowd.slice(0, 4));
    const turns: number[] = [];
    while (log.length < crowd.length) {
      const before = log.length;
      await turn();
      turns.push(log.length - before);
    }
    expect(Math.max(...turns)).toBeLessThanOrEqual(4);
    expect(log).toEqual(crowd);
    for (const { taken } of subscribers) expect(Buffer.concat(taken)).toHaveLength(bytesOf(large));
  });

  it("doesn't delay anybody's small frame", async () => {
    const { log, connect } = shard((bytes) => (bytes > KIB ? TURN_MS : 0));
    const other = connect("other");
    for (const { outbound } of crowd.map(connect)) outbound.push(large);
    for (let i = 0; i < crowd.length - 1; i++) {
      log.splice(0);
      other.outbound.push(small);
      await turn();
      expect(log.filter((name) => name === "other")).toHaveLength(1);
      expect(log.length).toBeLessThanOrEqual(2);
    }
  });

  it("stays before later frames, and is written once", async () => {
    const { connect } = shard((bytes) => (bytes > KIB ? TURN_MS : 0));
    const subscribers = crowd.map(connect);
    for (const { outbound } of subscribers) outbound.push(large);
    for (const { outbound } of subscribers) outbound.push(small);
    for (let i = 0; i < crowd.length + 1; i++) await turn();
    const expected = Buffer.concat([large, small].map(({ block, start, end }) => block.subarray(start, end)));
    for (const { taken } of subscribers) expect(Buffer.concat(taken).equals(expected)).toBe(true);
  });

  it("waits at most until maxBufferedBytes have come together", () => {
    const { log, connect } = shard(() => TURN_MS, 256 * KIB);
    const [first, second] = [connect("first"), connect("second")];
    first.outbound.push(large);
    // None of these frames is refused: the peer isn't slow.
    for (let i = 0; i < 10; i++) expect(second.outbound.push(large, "news")).toBe("sent");
    expect(log).toEqual(["first", "second", "second"]);
    for (const bytes of second.taken) expect(bytes.length).toBeLessThan(256 * KIB + bytesOf(large));
  });

  it("is buffered, if it was sent: whoever sends more waits until it is written", async () => {
    const { connect } = shard(() => TURN_MS);
    const [first, second] = [connect("first"), connect("second")];
    expect(first.outbound.push(large)).toBe("sent");
    expect(second.outbound.push(large)).toBe("buffered");
    expect(second.taken).toEqual([]);
    await second.outbound.whenDrained();
    expect(Buffer.concat(second.taken)).toHaveLength(bytesOf(large));
  });

  it.each(["dropOldest", "conflate"] as const)("doesn't wait with %s, which may drop queued frames", (policy) => {
    const { log, connect } = shard(() => TURN_MS, 256 * KIB, policy);
    for (const { outbound } of crowd.map(connect)) outbound.push(large, "news");
    expect(log).toEqual(crowd);
  });

  it("is written when its connection ends, even if the turn has no time left", () => {
    const { connect } = shard(() => TURN_MS);
    const [first, second] = [connect("first"), connect("second")];
    for (const { outbound } of [first, second]) outbound.push(large);
    expect(second.taken).toEqual([]);
    second.outbound.pushLast(small);
    second.outbound.flush();
    expect(Buffer.concat(second.taken)).toHaveLength(bytesOf(large) + bytesOf(small));
  });
});

it("spreads the queues of many peers that read again over several turns", async () => {
  const { log, connect } = shard(() => TURN_MS / 2);
  const subscribers = crowd.map(connect);
  for (const { transport, outbound } of subscribers) {
    transport.reads = false;
    outbound.push(large);
  }
  while (log.length < crowd.length) await turn();
  for (const { outbound } of subscribers) {
    for (let i = 0; i < 4; i++) expect(outbound.push(large)).toBe("buffered");
  }
  await turn();
  log.splice(0);
  for (const { transport, outbound } of subscribers) {
    transport.reads = true;
    transport.bufferedBytes = 0;
    outbound.drained();
  }
  expect(log.length).toBeLessThanOrEqual(2);
  for (let before = log.length; log.length < 4 * crowd.length; before = log.length) {
    await turn();
    expect(log.length - before).toBeLessThanOrEqual(2);
  }
  for (const { taken } of subscribers) expect(Buffer.concat(taken)).toHaveLength(5 * bytesOf(large));
});

it("flushes the small frames of many connections in parts, in order, before later frames", async () => {
  const { log, connect } = shard(() => TURN_MS / 16);
  const names = Array.from({ length: 100 }, (_, i) => `subscriber ${i}`);
  for (const { outbound } of names.map(connect)) outbound.push(small);
  await turn();
  expect(log).toEqual(names.slice(0, 32));
  connect("later").outbound.push(small);
  for (let i = 0; i < 6; i++) await turn();
  expect(log).toEqual([...names, "later"]);
});
