import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { expect, it, vi } from "vitest";
import { BroadcastGroup } from "../../../../src/board/connection/outbound/broadcast-group.ts";
import { FlushQueue } from "../../../../src/board/connection/outbound/flush-queue.ts";
import type { Outbound } from "../../../../src/board/connection/outbound/outbound.ts";
import type { Subscriber } from "../../../../src/runtime/bus/audience.ts";
import { Bus } from "../../../../src/runtime/bus/bus.ts";
import { Counters } from "../../../../src/runtime/stats/counters.ts";
import { encodeText } from "../../../../src/wire/protocol/frame.ts";
import type { FakeTransport } from "../../../support/fake-transport.ts";
import { drain, setUp } from "./outbound-parts.ts";

const SUBSCRIBERS = 10;

interface Member extends Subscriber {
  readonly outbound: Outbound;
  readonly transport: FakeTransport;
  readonly counters: Counters;
  closed: boolean;
  /** The messages that the peer must get, by the outcomes of sending. */
  readonly expected: string[];
}

/** Subscribers of one shard: a bus, and an outbound with a peer for each subscriber. */
function shard(maxBufferedBytes = 1024 * 1024) {
  const counters = new Counters();
  const newGroup = vi.fn(() => new BroadcastGroup(counters));
  const bus = new Bus({
    publishDropped() {},
    newGroup,
    delivered: (count) => counters.add("deliveries", count),
  });
  const queue = new FlushQueue(new Counters());
  const member = (): Member => {
    const { outbound, transport, counters: own } = setUp({ queue, policy: "dropNewest", maxBufferedBytes });
    const expected: string[] = [];
    return {
      ...{ outbound, transport, counters: own, expected, closed: false },
      deliver(frame, topic, group) {
        if (this.closed) return "closed";
        const outcome = outbound.push(frame, topic, group as BroadcastGroup);
        if (outcome === "refused") throw new Error("dropNewest refuses nothing");
        if (outcome !== "dropped") counters.add("messagesSent");
        return outcome;
      },
    };
  };
  const members = Array.from({ length: SUBSCRIBERS }, member);
  return { bus, counters, newGroup, members };
}

it("queues a burst of publishes once for the group, and counts it for each subscriber", async () => {
  const { bus, counters, newGroup, members } = shard();
  const pushes = members.map(({ outbound }) => vi.spyOn(outbound, "push"));
  for (const member of members) void bus.subscribe("news", member);
  for (let i = 0; i < 5; i++) {
    expect(bus.publish("news", encodeText(`${i}`))).toMatchObject({ delivered: SUBSCRIBERS, buffered: 0, closed: 0 });
  }
  await turn();
  for (const { transport } of members) {
    expect(transport.texts).toEqual(["0", "1", "2", "3", "4"]);
    expect(transport.writes).toHaveLength(1);
  }
  expect(newGroup).toHaveBeenCalledOnce();
  for (const push of pushes) expect(push).toHaveBeenCalledOnce();
  expect(counters.get("deliveries")).toBe(5 * SUBSCRIBERS);
  expect(counters.get("messagesSent")).toBe(5 * SUBSCRIBERS);
});

it("uses the group of an earlier tick again once all have left it", async () => {
  const { bus, newGroup, members } = shard();
  for (const member of members) void bus.subscribe("news", member);
  for (const text of ["first", "second", "third"]) {
    bus.publish("news", encodeText(text));
    await turn();
  }
  expect(newGroup).toHaveBeenCalledOnce();
  for (const { transport } of members) expect(transport.texts).toEqual(["first", "second", "third"]);
});

it("applies the bound to the group's queue as to that of one connection", async () => {
  const { bus, members } = shard();
  for (const member of members) void bus.subscribe("news", member);
  for (let i = 0; i < 100; i++) bus.publish("news", encodeText("x".repeat(10_000)));
  // Bytes beyond one tick's share have left before the end of the tick.
  for (const { transport, outbound } of members) {
    expect(transport.writes.length).toBeGreaterThan(10);
    expect(outbound.bufferedBytes).toBeLessThan(64 * 1024);
  }
  await turn();
  for (const { transport } of members) expect(transport.frames).toHaveLength(100);
});

it("doesn't mistake a flushed subscriber for one that unsubscribes", async () => {
  const { bus, members } = shard();
  const [first, second, ...others] = members as [Member, Member, ...Member[]];
  for (const member of members) void bus.subscribe("news", member);
  bus.publish("news", encodeText("to all"));
  first.outbound.flush();
  bus.unsubscribe("news", second);
  expect(bus.publish("news", encodeText("to all but one")).delivered).toBe(SUBSCRIBERS - 1);
  await turn();
  for (const { transport } of [first, ...others]) expect(transport.texts).toEqual(["to all", "to all but one"]);
  expect(second.transport.texts).toEqual(["to all"]);
});

it("asks each subscriber again when one has closed", async () => {
  const { bus, members } = shard();
  const [first, ...others] = members as [Member, ...Member[]];
  for (const member of members) void bus.subscribe("news", member);
  bus.publish("news", encodeText("to all"));
  first.closed = true;
  first.outbound.giveUp();
  expect(bus.publish("news", encodeText("more"))).toMatchObject({ delivered: SUBSCRIBERS - 1, closed: 1 });
  await turn();
  for (const { transport } of others) expect(transport.texts).toEqual(["to all", "more"]);
  expect(first.transport.texts).toEqual(["to all"]);
});

type Step =
  | { readonly kind: "publish"; readonly topic: string; readonly by: number | undefined; readonly size: number }
  | {
      readonly kind: "send" | "subscribe" | "unsubscribe" | "flush" | "close" | "stall" | "read";
      readonly topic: string;
      readonly who: number;
    }
  | { readonly kind: "tick" };

const who = fc.nat({ max: SUBSCRIBERS - 1 });
const topic = fc.constantFrom("a", "b");
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: publishes() },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom("send", "subscribe", "unsubscribe", "flush", "close", "stall", "read"),
      ...{ topic, who },
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "tick" }) },
);

function publishes(): fc.Arbitrary<Step> {
  const by = fc.option(fc.constantFrom(0, 1), { nil: undefined });
  return fc.record({ kind: fc.constant("publish"), topic, by, size: fc.constantFrom(1, 30, 20_000) });
}

it("delivers to each subscriber what it would get alone, whatever happens in between", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { bus, members } = shard(100_000);
      const subscribed = new Map(["a", "b"].map((name) => [name, new Set(members)]));
      for (const name of subscribed.keys()) for (const member of members) void bus.subscribe(name, member);
      const does = {
        send: ({ outbound, closed, expected }: Member, _: string, text: string) => {
          if (!closed && outbound.push(encodeText(text)) !== "dropped") expected.push(text);
        },
        subscribe: (member: Member, name: string) => {
          void bus.subscribe(name, member);
          subscribed.get(name)?.add(member);
        },
        unsubscribe: (member: Member, name: string) => {
          bus.unsubscribe(name, member);
          subscribed.get(name)?.delete(member);
        },
        flush: ({ outbound }: Member) => outbound.flush(),
        close: (member: Member) => {
          member.closed = true;
          member.outbound.giveUp();
        },
        stall: ({ transport }: Member) => void Object.assign(transport, { peerReads: false }),
        read: ({ transport, outbound }: Member) => {
          transport.peerReads = true;
          drain(transport, outbound);
        },
      };
      for (const [i, one] of steps.entries()) {
        if (one.kind === "tick") {
          await turn();
        } else if (one.kind === "publish") {
          const text = `${i} `.padEnd(one.size, "x");
          const except = one.by === undefined ? undefined : members[one.by];
          const receivers = [...(subscribed.get(one.topic) ?? [])].filter((member) => member !== except);
          const open = receivers.filter(({ closed }) => !closed);
          const before = open.map(({ counters }) => counters.get("droppedNewest"));
          const outcome = bus.publish(one.topic, encodeText(text), except);
          const dropped = open.filter(({ counters }, j) => counters.get("droppedNewest") > (before[j] as number));
          for (const member of open) if (!dropped.includes(member)) member.expected.push(text);
          expect(outcome.delivered + outcome.buffered).toBe(open.length - dropped.length);
          expect(outcome).toMatchObject({ dropped: dropped.length, closed: receivers.length - open.length });
        } else {
          does[one.kind](members[one.who] as Member, one.topic, `${i} own`);
        }
      }
      for (const { transport, outbound } of members) {
        transport.peerReads = true;
        for (let i = 0; i < 4; i++) {
          await turn();
          drain(transport, outbound);
        }
      }
      for (const { transport, expected } of members) expect(transport.texts).toEqual(expected);
    }),
    { numRuns: 500 },
  );
});
