/** Takeovers over a slow channel: sockets go ahead of their connections, which go on in the old process meanwhile. */
import { fstatSync } from "node:fs";
import { describe, expect, it, onTestFinished } from "vitest";
import type { MovingConnection } from "../../../src/board/takeover/messages.ts";
import { DEFAULT_HAND_OVER, handOver, type TakeoverSource } from "../../../src/board/takeover/predecessor.ts";
import { type TakeoverSink, takeOver } from "../../../src/board/takeover/successor.ts";
import { duplicate, whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { closePassed } from "../../../src/wire/passing/passed-sockets.ts";
import { MemoryChannel, openSocket } from "./memory-channel.ts";

class DuplicatingChannel extends MemoryChannel {
  readonly copies: number[] = [];

  protected override copy(descriptor: number): number {
    const copy = duplicate(descriptor);
    this.copies.push(copy);
    return copy;
  }
}

function isOpen(descriptor: number): boolean {
  try {
    fstatSync(descriptor);
    return true;
  } catch {
    return false;
  }
}

/** Four connections. The first two go ahead, and the second one ends before everybody is stopped. */
function takeover(adopt: TakeoverSink["adopt"] = async () => {}) {
  const [oldEnd, newEnd] = [
    new DuplicatingChannel(process, undefined, true),
    new DuplicatingChannel(process, undefined, true),
  ];
  oldEnd.other = newEnd;
  newEnd.other = oldEnd;
  const [first, second, third, fourth] = [openSocket(), openSocket(), openSocket(), openSocket()];
  const told: string[] = [];
  const left: MovingConnection[] = [
    { descriptor: third, state: new Uint8Array([3]), shard: 0 },
    { descriptor: first, state: new Uint8Array([1]), shard: 0, ahead: 7 },
    { descriptor: fourth, state: new Uint8Array([4]), shard: 0 },
  ];
  const source: TakeoverSource = {
    moves: {},
    shards: 1,
    connections: 4,
    listeners: async () => [],
    ahead: async function* () {
      yield [{ number: 7, descriptor: first }];
      told.push("the first has gone ahead");
      yield [{ number: 8, descriptor: second }];
      closePassed(second);
    },
    stopAccepting: async () => void told.push("the old one stops accepting"),
    luggage: async function* () {},
    acceptAgain: async () => void told.push("the old one accepts again"),
    suspend: async (count) => left.splice(0, count),
    resume: async (connections) => {
      told.push(`the old one has ${connections.length} back`);
      for (const { descriptor } of connections) closePassed(descriptor);
    },
  };
  const started: MovingConnection[] = [];
  const sink: TakeoverSink = {
    moves: {},
    shards: 1,
    listen: async () => {},
    take: async () => {},
    adopt,
    start: (connections) => void started.push(...connections),
    finish: async () => {},
    published: () => {},
  };
  onTestFinished(() => {
    for (const { descriptor } of started) closePassed(descriptor);
  });
  const settings = { ...DEFAULT_HAND_OVER, batchSize: 2 };
  return { oldEnd, told, started, handedOver: handOver(oldEnd, source, settings), takenOver: takeOver(newEnd, sink) };
}

describe.skipIf(whyNoPassing() !== undefined)("sockets that go ahead", () => {
  it("find their connections, and those of ended connections are closed", async () => {
    const { oldEnd, told, started, handedOver, takenOver } = takeover();
    expect(await handedOver).toMatchObject({ outcome: "handedOver", connections: 3 });
    await takenOver;
    expect(told).toEqual(["the first has gone ahead", "the old one stops accepting"]);
    expect(oldEnd.sent.filter(({ kind }) => kind === "ahead" || kind === "connections")).toEqual([
      { kind: "ahead", sockets: 1 },
      { kind: "ahead", sockets: 1 },
      { kind: "connections", sockets: 1 },
      { kind: "connections", sockets: 1 },
    ]);
    const [first, second, third, fourth] = oldEnd.copies;
    expect(started.map(({ state, descriptor }) => [state[0], descriptor])).toEqual([
      [3, third],
      [1, first],
      [4, fourth],
    ]);
    expect(isOpen(second ?? -1)).toBe(false);
  });

  it("are closed in a new process that fails, with everything that comes afterwards", async () => {
    const { oldEnd, told, handedOver, takenOver } = takeover(() => Promise.reject(new Error("as the test wants")));
    await expect(takenOver).rejects.toThrow("as the test wants");
    expect(await handedOver).toMatchObject({ outcome: "failed" });
    expect(told.slice(2)).toEqual(["the old one has 3 back", "the old one accepts again"]);
    expect(oldEnd.copies.map(isOpen)).toEqual([false, false, false, false]);
  });
});
