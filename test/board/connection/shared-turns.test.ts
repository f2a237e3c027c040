import { setImmediate as turn } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { Inbound } from "../../../src/board/connection/inbound.ts";
import { FairScheduler, TURN_MS } from "../../../src/runtime/scheduling/fair-scheduler.ts";
import { TimerWheel } from "../../../src/runtime/scheduling/timer-wheel.ts";
import { Counters } from "../../../src/runtime/stats/counters.ts";
import { Decoder } from "../../../src/wire/protocol/decoding/decoder.ts";
import { Inflater } from "../../../src/wire/protocol/deflate/inflater.ts";
import { Heartbeat } from "../../../src/wire/protocol/heartbeat.ts";
import type { Message } from "../../../src/wire/protocol/message.ts";
import type { Transport } from "../../../src/wire/transport/transport.ts";
import { deflateBomb, deflateMessage } from "../../support/deflate.ts";
import { clientFrame, text } from "../../support/frames.ts";

const MIB = 1024 * 1024;
const COMPRESSED = { rsv: 0x4 };
const BOMBS = 20;
const bomb = clientFrame(0x2, deflateBomb(MIB), COMPRESSED);

/** The reading side of a shard's connections, with a clock that moves by `takesMs` at each message. */
function shard(takesMs: (bytes: number) => number) {
  let now = 0;
  const turns = new FairScheduler(() => now);
  const counters = new Counters();
  const wheel = new TimerWheel(5);
  onTestFinished(() => wheel.stop());
  let wheelMs = 0;
  Object.defineProperty(wheel, "nowMs", { get: () => wheelMs });
  /** Makes the connections that there are old. */
  const growOld = (): void => {
    wheelMs += 5_000;
  };
  /** Names of the connections whose messages were handled, in order. */
  const log: string[] = [];
  const transport: Transport = {
    ...{ bufferedBytes: 0, start() {}, write() {}, pause() {}, resume() {}, end() {}, destroy() {} },
  };
  const connect = (name: string): Inbound => {
    const inflater = new Inflater({ peerWindowBits: 15, peerContextTakeover: false });
    const limits = { maxPayloadBytes: MIB, maxFragments: 100, inflater, mayInflate: turns.hasTime };
    const sink = {
      full: false,
      takeRead: <T>(read: (this: T) => void, reader: T) => read.call(reader),
      deliver: ({ byteLength }: Message) => {
        log.push(name);
        now += takesMs(byteLength);
      },
    };
    const owner = {
      controlReceived: () => void log.push(name),
      rateExceeded() {},
      drained() {},
      ended() {},
      closed() {},
    };
    const heartbeat = new Heartbeat({ pingIntervalMs: 0, pongTimeoutMs: 1_000 }, wheel.nowMs);
    return new Inbound(
      transport,
      new Decoder(limits),
      { heartbeat, host: { wheel, turns, counters }, rates: { rateLimitPolicy: "pause" } },
      sink,
      owner,
    );
  };
  return { log, connect, growOld };
}

const names = Array.from({ length: 8 }, (_, i) => `bomber ${i}`);
const times = (log: readonly string[], name: string): number => log.filter((one) => one === name).length;

it("inflates no more in a turn for many peers that send bombs than for one", async () => {
  const { log, connect } = shard((bytes) => (bytes === MIB ? TURN_MS / 2 : 0));
  const bombers = names.map(connect);
  for (const bomber of bombers) bomber.received(Buffer.concat(Array.from({ length: BOMBS }, () => bomb)));
  expect(log).toHaveLength(2);
  for (let before = log.length; bombers.some(({ reading }) => !reading); before = log.length) {
    await turn();
    expect(log.length - before).toBeLessThanOrEqual(2);
  }
  for (const name of names) expect(times(log, name)).toBe(BOMBS);
});

it("alternates between peers that send bombs", async () => {
  const { log, connect } = shard(() => TURN_MS);
  const bombers = names.map(connect);
  for (const bomber of bombers) bomber.received(Buffer.concat(Array.from({ length: BOMBS }, () => bomb)));
  while (bombers.some(({ reading }) => !reading)) {
    await turn();
    const counts = names.map((name) => times(log, name));
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(2);
  }
});

it("serves small reads between any two slices of a bomb, in the turn in which they arrive", async () => {
  const { log, connect, growOld } = shard((bytes) => (bytes === MIB ? TURN_MS : 0));
  const bombers = names.map(connect);
  const others = Array.from({ length: 40 }, (_, i) => connect(`other ${i}`));
  growOld();
  for (const bomber of bombers) bomber.received(Buffer.concat(Array.from({ length: BOMBS }, () => bomb)));
  const small = [text("hello"), clientFrame(0x1, deflateMessage("hello"), COMPRESSED)];
  log.splice(0);
  let bombs = 0;
  for (let round = 0; bombers.some(({ reading }) => !reading); round++) {
    for (const other of others) other.received(small[round % 2] as Buffer);
    const served = log.splice(0);
    expect(served).toEqual(others.map((_, i) => `other ${i}`));
    await turn();
    expect(log.length).toBeLessThanOrEqual(1);
    bombs += log.splice(0).length;
  }
  expect(bombs).toBeGreaterThanOrEqual(names.length * BOMBS - 1);
});

it("doesn't let a flood of cheap messages delay a peer with few messages", async () => {
  const { log, connect } = shard(() => TURN_MS / 16);
  const flooder = connect("flooder");
  const other = connect("other");
  flooder.received(Buffer.concat(Array.from({ length: 500 }, () => text("f"))));
  // The messages that any connection may decode in any turn, and those that fit into the time of this one.
  expect(times(log, "flooder")).toBeLessThanOrEqual(2 * 16 + 4);
  const between: number[] = [];
  while (!flooder.reading) {
    log.splice(0);
    other.received(text("hello"));
    expect(log).toEqual(["other"]);
    await turn();
    between.push(times(log, "flooder"));
  }
  expect(Math.max(...between)).toBeLessThanOrEqual(20);
  expect(between.length).toBeGreaterThan(20);
});

it("decodes a message that had to wait before the messages after it", async () => {
  const order: number[] = [];
  const { connect } = shard((bytes) => {
    order.push(bytes);
    return TURN_MS;
  });
  const first = connect("first");
  const second = connect("second");
  first.received(bomb);
  second.received(Buffer.concat([clientFrame(0x2, deflateBomb(MIB / 2), COMPRESSED), text("after")]));
  second.received(text("later"));
  expect(order).toEqual([MIB]);
  await turn();
  await turn();
  expect(order).toEqual([MIB, MIB / 2, 5, 5]);
  expect(second.reading).toBe(true);
});

it("serves an established peer at once while a crowd of new ones sends its first messages, all of them in order", async () => {
  const { log, connect, growOld } = shard(() => TURN_MS / 4);
  const established = connect("established");
  growOld();
  const crowd = Array.from({ length: 100 }, (_, i) => connect(`new ${i}`));
  for (const each of crowd) each.received(text("hello"));
  // Few are served in the turn in which all of them come.
  expect(log).toHaveLength(16);
  const perTurn: number[] = [];
  while (crowd.some(({ reading }) => !reading)) {
    const before = log.length;
    established.received(text("hello"));
    expect(log.at(-1)).toBe("established");
    await turn();
    perTurn.push(log.length - before - 1);
  }
  expect(Math.max(...perTurn)).toBeLessThanOrEqual(4);
  expect(log.filter((name) => name !== "established")).toEqual(crowd.map((_, i) => `new ${i}`));
});

it("takes a peer for an established one after its first 16 reads", async () => {
  const { log, connect } = shard(() => TURN_MS / 4);
  const [regular, other] = [connect("regular"), connect("other")];
  for (let reads = 0; reads < 16; reads++) regular.received(text("hello"));
  for (let reads = 0; reads < 15; reads++) other.received(text("hello"));
  const crowd = Array.from({ length: 50 }, (_, i) => connect(`new ${i}`));
  for (const each of crowd) each.received(text("hello"));
  await turn();
  for (const peer of [regular, other]) peer.received(text("hello"));
  expect(log.at(-1)).toBe("regular");
  while (!other.reading) await turn();
  expect(log.at(-1)).toBe("other");
});
