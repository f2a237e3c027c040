import fc from "fast-check";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Engine, Member } from "../../../../src/runtime/streams/engine.ts";
import { createMemoryEngine } from "../../../../src/runtime/streams/memory/memory-engine.ts";
import type { MemoryEngineOptions } from "../../../../src/runtime/streams/memory/memory-options.ts";
import type { EngineTransfer } from "../../../../src/runtime/streams/takeover.ts";
import { LIMITS, RecordingOwner, say, textOf } from "../contract/cluster.ts";

const RULE = { leaveGraceMs: 1_000, changes: true };

/** An engine that has started, with the clock of the test. */
async function open(options: MemoryEngineOptions = {}, startMs = 1_700_000_000_000) {
  let nowMs = startMs;
  const engine = createMemoryEngine(options, "node", () => nowMs);
  const owner = new RecordingOwner();
  await engine.start(owner);
  onTestFinished(() => engine.stop());
  const { transfer } = engine;
  if (transfer === undefined) throw new Error("the memory engine gives what it keeps");
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  return { engine, owner, transfer, pass };
}

/** Gives one round of pieces, as they would arrive in another process. Returns the number of pieces. */
async function round(from: EngineTransfer, to: EngineTransfer): Promise<number> {
  let pieces = 0;
  for (let piece = await from.give(); piece !== undefined; piece = await from.give()) {
    await to.take(structuredClone(piece));
    pieces++;
  }
  return pieces;
}

/** Gives everything to another engine. */
async function giveAll(from: EngineTransfer, to: EngineTransfer) {
  await from.begin();
  await round(from, to);
  const left = await from.end();
  await to.taken(true);
  return left;
}

async function texts(engine: Engine, topic: string): Promise<readonly string[]> {
  const { records } = await engine.history(topic, { limit: 100_000 }, LIMITS);
  return records.map(({ frame }) => textOf(frame));
}

async function topOf(engine: Engine, topic: string) {
  return (await engine.history(topic, { limit: 0 }, LIMITS)).top;
}

function member(address: string, user?: string): Member {
  return { address, node: "node", user, info: undefined };
}

describe("what a memory engine gives to another", () => {
  it("has streams with their epoch, offsets, times and publications", async () => {
    const [old, next] = [await open(), await open()];
    for (const text of ["a", "b", "c"]) old.engine.publish("t", say(text), { ...LIMITS, size: 2 });
    const before = await old.engine.history("t", { limit: 10 }, LIMITS);
    expect(await giveAll(old.transfer, next.transfer)).toEqual({ topics: 0, publications: 0 });
    const after = await next.engine.history("t", { limit: 10 }, LIMITS);
    expect(after.top).toEqual(before.top);
    expect(after.top.offset).toBe(3);
    const plain = ({ offset, timeMs }: { offset: number; timeMs: number }) => ({ offset, timeMs });
    expect(after.records.map(plain)).toEqual(before.records.map(plain));
    expect(await texts(next.engine, "t")).toEqual(["b", "c"]);
    expect(await next.engine.publish("t", say("d"), LIMITS)).toMatchObject({ position: { ...after.top, offset: 4 } });
    expect(next.engine.gauges()).toMatchObject({ streams: 1, publications: 3 });
  });

  it("has streams without publications, whose offsets go on", async () => {
    const [old, next] = [await open(), await open()];
    old.engine.publish("removed", say("a"), LIMITS);
    old.engine.removeHistory("removed", LIMITS);
    await old.engine.want("wanted");
    await topOf(old.engine, "wanted");
    await giveAll(old.transfer, next.transfer);
    for (const topic of ["removed", "wanted"])
      expect(await topOf(next.engine, topic)).toEqual(await topOf(old.engine, topic));
    expect(await texts(next.engine, "removed")).toEqual([]);
  });

  it("has what has changed since the round before, and no more", async () => {
    const [old, next] = [await open(), await open()];
    for (const topic of ["grows", "stays", "removed", "forgotten"]) old.engine.publish(topic, say("a"), LIMITS);
    await old.transfer.begin();
    await round(old.transfer, next.transfer);
    old.engine.publish("grows", say("b"), LIMITS);
    old.engine.publish("new", say("c", { idempotencyKey: "k" }), LIMITS);
    old.engine.removeHistory("removed", LIMITS);
    expect(await round(old.transfer, next.transfer)).toBe(2);
    expect(await round(old.transfer, next.transfer)).toBe(0);
    await old.transfer.end();
    await next.transfer.taken(true);
    for (const topic of ["grows", "stays", "removed", "new"]) {
      expect(await topOf(next.engine, topic)).toEqual(await topOf(old.engine, topic));
      expect(await texts(next.engine, topic)).toEqual(await texts(old.engine, topic));
    }
    expect(await next.engine.publish("new", say("c", { idempotencyKey: "k" }), LIMITS)).toMatchObject({
      duplicate: true,
    });
  });

  it("has a stream anew that has begun another epoch meanwhile", async () => {
    const [old, next] = [await open(), await open()];
    const limits = { size: 10, ttlMs: 1_000, metaTtlMs: 1_000 };
    old.engine.publish("t", say("a"), limits);
    await old.transfer.begin();
    await round(old.transfer, next.transfer);
    old.pass(1_000);
    old.engine.publish("t", say("b"), limits);
    await round(old.transfer, next.transfer);
    expect(await topOf(next.engine, "t")).toEqual(await topOf(old.engine, "t"));
    expect(await texts(next.engine, "t")).toEqual(["b"]);
  });

  it("has a round of pieces of a bounded size, during which the engine may change in any way", async () => {
    const [old, next] = [await open(), await open()];
    const publication = "x".repeat(100_000);
    for (let count = 0; count < 100; count++) old.engine.publish(`t${count % 4}`, say(publication), LIMITS);
    await old.transfer.begin();
    let pieces = 0;
    for (let piece = await old.transfer.give(); piece !== undefined; piece = await old.transfer.give()) {
      const { bytes } = piece as { readonly bytes?: Uint8Array };
      if (bytes !== undefined) expect(bytes.byteLength).toBeLessThanOrEqual(1024 * 1024);
      await next.transfer.take(structuredClone(piece));
      pieces++;
      old.engine.publish(`t${pieces % 4}`, say("later"), { ...LIMITS, size: 5 });
      if (pieces === 3) old.engine.removeHistory("t2", LIMITS);
    }
    expect(pieces).toBeGreaterThanOrEqual(5);
    await round(old.transfer, next.transfer);
    for (const topic of ["t0", "t1", "t2", "t3"]) {
      expect(await topOf(next.engine, topic)).toEqual(await topOf(old.engine, topic));
      expect(await texts(next.engine, topic)).toEqual(await texts(old.engine, topic));
    }
    expect(next.engine.gauges()["publications"]).toBe(old.engine.gauges()["publications"]);
  });

  it("has a publication that is larger than a piece", async () => {
    const [old, next] = [await open(), await open()];
    const text = "y".repeat(3_000_000);
    old.engine.publish("t", say("before"), LIMITS);
    old.engine.publish("t", say(text), LIMITS);
    old.engine.publish("t", say("after"), LIMITS);
    await giveAll(old.transfer, next.transfer);
    expect(await texts(next.engine, "t")).toEqual(["before", text, "after"]);
  });

  it("expires when it would have expired, by another clock too", async () => {
    const old = await open();
    const next = await open({}, 1_600_000_000_000);
    const limits = { size: 10, ttlMs: 10_000, metaTtlMs: 20_000 };
    old.engine.publish("t", say("short", { expiresMs: 3_000, idempotencyKey: "k" }), limits);
    old.engine.publish("t", say("long"), limits);
    const top = await topOf(old.engine, "t");
    old.pass(1_000);
    await giveAll(old.transfer, next.transfer);
    const read = async () => (await next.engine.history("t", { limit: 10 }, limits)).records.length;
    next.pass(1_999);
    expect(await read()).toBe(2);
    next.pass(1);
    expect(await read()).toBe(1);
    next.pass(7_000 - 1);
    expect(await read()).toBe(1);
    next.pass(1);
    expect(await read()).toBe(0);
    expect((await next.engine.history("t", { limit: 0 }, limits)).top).toEqual(top);
    expect(await next.engine.publish("t", say("short", { idempotencyKey: "k" }), limits)).toMatchObject({
      duplicate: true,
    });
    next.pass(300_000);
    expect(await next.engine.publish("t", say("short", { idempotencyKey: "k" }), limits)).toMatchObject({
      duplicate: false,
    });
  });

  it("leaves the publications of the streams behind that were published to first, and says so", async () => {
    const [old, next] = [await open({ maxTakeoverBytes: 200_000 }), await open()];
    const text = "x".repeat(10_000);
    for (let topic = 0; topic < 5; topic++) {
      for (let count = 0; count < 8; count++) old.engine.publish(`t${topic}`, say(text), LIMITS);
    }
    await old.transfer.begin();
    await round(old.transfer, next.transfer);
    // What is published meanwhile goes along in any case.
    old.engine.publish("t0", say("new"), LIMITS);
    await round(old.transfer, next.transfer);
    expect(await old.transfer.end()).toEqual({ topics: 3, publications: 24 });
    await next.transfer.taken(true);
    const lengths = await Promise.all(
      [0, 1, 2, 3, 4].map(async (topic) => (await texts(next.engine, `t${topic}`)).length),
    );
    expect(lengths).toEqual([1, 0, 0, 8, 8]);
    // A subscriber whose position is older than what is here is told, by the hole before the top.
    for (let topic = 0; topic < 5; topic++) {
      expect(await topOf(next.engine, `t${topic}`)).toEqual(await topOf(old.engine, `t${topic}`));
    }
    expect(await texts(next.engine, "t0")).toEqual(["new"]);
  });

  it("keeps the order in which streams lose their publications", async () => {
    const [old, next] = [await open(), await open({ maxBytes: 1024 * 1024 })];
    const text = "x".repeat(100_000);
    for (let topic = 0; topic < 14; topic++) old.engine.publish(`t${topic}`, say(text), LIMITS);
    await giveAll(old.transfer, next.transfer);
    const kept = async () => {
      const all = await Promise.all(Array.from({ length: 14 }, (_, topic) => texts(next.engine, `t${topic}`)));
      return all.flatMap((some, topic) => (some.length > 0 ? [topic] : []));
    };
    expect(await kept()).toEqual([4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
    next.engine.publish("t4", say("small"), LIMITS);
    next.engine.publish("t0", say(text), LIMITS);
    expect(await kept()).toEqual([0, 4, 6, 7, 8, 9, 10, 11, 12, 13]);
  });

  it("has members, of whom nothing is reported when they join again", async () => {
    const [old, next] = [await open(), await open()];
    await next.engine.want("t");
    await old.engine.join("t", member("a", "u"), RULE);
    await old.engine.join("t", member("b", "u"), RULE);
    await old.engine.join("t", member("gone"), RULE);
    await old.engine.join("t", member("leaves"), RULE);
    await old.engine.leave("t", "leaves", RULE);
    await old.transfer.begin();
    await round(old.transfer, next.transfer);
    await old.engine.leave("t", "gone", { ...RULE, leaveGraceMs: 0 });
    await old.engine.join("t", member("late"), RULE);
    await round(old.transfer, next.transfer);
    const addresses = async () => (await next.engine.members("t", 10)).map(({ address }) => address).toSorted();
    expect(await addresses()).toEqual(["a", "b", "late"]);
    expect(await next.engine.memberStats("t")).toEqual({ connections: 3, users: 2 });
    expect(next.engine.gauges()).toMatchObject({ members: 3, leaving_members: 1 });
    for (const address of ["a", "late"])
      await next.engine.join("t", member(address, address === "a" ? "u" : undefined), RULE);
    expect(next.owner.changes).toEqual([]);
    await next.transfer.taken(true);
    // One hasn't come: its connection has stayed in the other process.
    expect(await addresses()).toEqual(["a", "late"]);
    expect(next.engine.gauges()).toMatchObject({ members: 2, leaving_members: 2 });
  });

  it("is forgotten by an engine that hasn't got all of it", async () => {
    const [old, next] = [await open(), await open()];
    old.engine.publish("t", say("a", { idempotencyKey: "k" }), LIMITS);
    await old.engine.join("t", member("a"), RULE);
    await old.transfer.begin();
    await round(old.transfer, next.transfer);
    await next.transfer.taken(false);
    expect(next.engine.gauges()).toMatchObject({
      streams: 0,
      publications: 0,
      bytes: 0,
      idempotency_keys: 0,
      members: 0,
    });
    expect(await next.engine.publish("t", say("a", { idempotencyKey: "k" }), LIMITS)).toMatchObject({
      duplicate: false,
    });
  });

  it("is all of it, after any calls between the rounds", async () => {
    const step = fc.record({
      kind: fc.constantFrom("publish", "remove", "key", "join", "leave", "round", "pass"),
      topic: fc.constantFrom("t0", "t1", "t2"),
      number: fc.integer({ min: 0, max: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const [old, next] = [await open(), await open()];
        await old.transfer.begin();
        const limits = { size: 4, ttlMs: 400, metaTtlMs: 600 };
        for (const { kind, topic, number } of steps) {
          if (kind === "publish") old.engine.publish(topic, say(`${number}`), limits);
          if (kind === "key") old.engine.publish(topic, say("k", { idempotencyKey: `${number}` }), limits);
          if (kind === "remove") old.engine.removeHistory(topic, limits);
          if (kind === "join") await old.engine.join(topic, member(`a${number}`, `u${number % 2}`), RULE);
          if (kind === "leave") await old.engine.leave(topic, `a${number}`, RULE);
          if (kind === "round") await round(old.transfer, next.transfer);
          if (kind !== "pass") continue;
          old.pass(number * 100);
          next.pass(number * 100);
        }
        await round(old.transfer, next.transfer);
        await round(old.transfer, next.transfer);
        for (const topic of ["t0", "t1", "t2"]) {
          const stats = await next.engine.memberStats(topic);
          expect(stats).toEqual(await old.engine.memberStats(topic));
          const read = async ({ engine }: { engine: Engine }) => {
            const { top, records } = await engine.history(topic, { limit: 10 }, limits);
            return { top, records: records.map(({ offset, timeMs, frame }) => [offset, timeMs, textOf(frame)]) };
          };
          const [before, after] = [await read(old), await read(next)];
          // A stream that was forgotten begins anew in each of the two.
          if (before.top.offset === 0) expect(after.records).toEqual([]);
          else expect(after).toEqual(before);
        }
        await Promise.all([old.engine.stop(), next.engine.stop()]);
      }),
      { numRuns: 200 },
    );
  });
});
