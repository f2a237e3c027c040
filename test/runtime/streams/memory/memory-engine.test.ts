import { describe, expect, it, onTestFinished, vi } from "vitest";
import { createMemoryEngine } from "../../../../src/runtime/streams/memory/memory-engine.ts";
import { noop } from "../../../../src/wire/protocol/empty.ts";
import { LIMITS, RecordingOwner, say } from "../contract/cluster.ts";
import { describeEngine } from "../engine-contract.ts";

describeEngine({
  name: "memory",
  traits: { isShared: false, hasClock: true, modelRuns: 300 },
  create: () => {
    let nowMs = Date.now();
    return {
      create: (node) => createMemoryEngine(undefined, node, () => nowMs),
      pass: async (ms) => {
        nowMs += ms;
      },
      close: noop,
    };
  },
});

describe("the memory engine, beyond the contract", () => {
  /** An engine that has started, with the clock of the test. */
  async function open() {
    let nowMs = 1_700_000_000_000;
    const engine = createMemoryEngine(undefined, "node-1", () => nowMs);
    const owner = new RecordingOwner();
    await engine.start(owner);
    onTestFinished(() => engine.stop());
    return {
      engine,
      owner,
      pass: (ms: number) => {
        nowMs += ms;
      },
    };
  }

  it("answers at once, and reports a publication before publish returns", async () => {
    const { engine, owner } = await open();
    engine.want("t");
    const published = engine.publish("t", say("a"), LIMITS);
    expect(published).toMatchObject({ position: { offset: 1 }, duplicate: false });
    expect(owner.offsets("t")).toEqual([1]);
    expect(owner.publications[0]?.timeMs).toBe(1_700_000_000_000);
  });

  it("frees by itself what has expired", async () => {
    const { engine, pass } = await open();
    engine.publish("t", say("a", { idempotencyKey: "key" }), { size: 1, ttlMs: 1_000, metaTtlMs: 2_000 });
    expect(engine.gauges()).toMatchObject({ streams: 1, publications: 1, idempotency_keys: 1 });
    pass(1_000);
    await vi.waitFor(() => expect(engine.gauges()).toMatchObject({ streams: 1, publications: 0, bytes: 0 }));
    pass(1_000);
    await vi.waitFor(() => expect(engine.gauges()).toMatchObject({ streams: 0, idempotency_keys: 1 }));
    pass(300_000);
    await vi.waitFor(() => expect(engine.gauges()).toMatchObject({ streams: 0, idempotency_keys: 0 }));
  });

  it("knows an idempotency key for five minutes, also when its stream is forgotten sooner", async () => {
    const { engine, pass } = await open();
    const limits = { size: 1, ttlMs: 1, metaTtlMs: 1 };
    const publish = say("a", { idempotencyKey: "key" });
    const first = await engine.publish("t", publish, limits);
    pass(299_999);
    expect(engine.publish("t", publish, limits)).toEqual({ ...first, duplicate: true });
    pass(1);
    expect(engine.publish("t", publish, limits)).toMatchObject({ position: { offset: 1 }, duplicate: false });
  });

  it("reports no leave of a topic that isn't wanted any more", async () => {
    const { engine, owner, pass } = await open();
    const rule = { leaveGraceMs: 1_000, changes: true };
    for (const topic of ["t", "other"]) {
      engine.want(topic);
      engine.join(topic, { address: "a", node: "node-1", user: "ann", info: undefined }, rule);
      engine.leave(topic, "a", rule);
    }
    engine.unwant("t");
    pass(1_000);
    await vi.waitFor(() => expect(owner.changes.map(({ kind }) => kind)).toContain("left"));
    expect(owner.changes.filter(({ kind }) => kind === "left").map(({ topic }) => topic)).toEqual(["other"]);
  });

  it("keeps nothing after stop", async () => {
    const { engine } = await open();
    engine.publish("t", say("a", { idempotencyKey: "key" }), LIMITS);
    const rule = { leaveGraceMs: 1_000, changes: true };
    for (const address of ["a", "b"]) {
      engine.join("t", { address, node: "node-1", user: undefined, info: undefined }, rule);
    }
    engine.leave("t", "a", rule);
    const kept = ["streams", "publications", "bytes", "idempotency_keys", "members", "leaving_members"];
    for (const name of kept) expect([name, engine.gauges()[name]]).not.toEqual([name, 0]);
    await engine.stop();
    for (const name of kept) expect([name, engine.gauges()[name]]).toEqual([name, 0]);
  });

  it("takes the time of the system, and never lets it fall", async () => {
    const engine = createMemoryEngine(undefined, "node-1");
    const owner = new RecordingOwner();
    await engine.start(owner);
    onTestFinished(() => engine.stop());
    engine.want("t");
    const before = Date.now();
    engine.publish("t", say("a"), LIMITS);
    vi.spyOn(Date, "now").mockReturnValue(before - 3_600_000);
    onTestFinished(() => {
      vi.restoreAllMocks();
    });
    engine.publish("t", say("b"), LIMITS);
    const [first = 0, second = 0] = owner.publications.map(({ timeMs }) => timeMs);
    expect(Math.abs(first - before)).toBeLessThan(60_000);
    expect(second).toBeGreaterThanOrEqual(first);
  });
});
