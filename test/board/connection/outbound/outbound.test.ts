import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FlushQueue } from "../../../../src/board/connection/outbound/flush-queue.ts";
import type { Outbound } from "../../../../src/board/connection/outbound/outbound.ts";
import { FairScheduler, TURN_MS } from "../../../../src/runtime/scheduling/fair-scheduler.ts";
import { Counters } from "../../../../src/runtime/stats/counters.ts";
import { encodeText } from "../../../../src/wire/protocol/frame.ts";
import { drain, frameOf, type SetUpOptions, setUp } from "./outbound-parts.ts";

describe("an outbound", () => {
  it("writes all frames of a tick at its end, in order, in one piece", async () => {
    const { transport, outbound } = setUp();
    for (const text of ["one", "two", "three"]) expect(outbound.push(encodeText(text))).toBe("sent");
    expect(transport.writes).toEqual([]);
    await turn();
    expect(transport.writes).toHaveLength(1);
    expect(transport.texts).toEqual(["one", "two", "three"]);
  });

  it("writes nothing twice", async () => {
    const { transport, outbound } = setUp();
    outbound.push(encodeText("one"));
    outbound.flush();
    await turn();
    outbound.push(encodeText("two"));
    await turn();
    await turn();
    expect(transport.texts).toEqual(["one", "two"]);
  });

  it("writes before the end of the tick once 64 KiB have come together", async () => {
    const { transport, outbound } = setUp();
    outbound.push(frameOf(65_000));
    expect(transport.writes).toHaveLength(0);
    outbound.push(frameOf(536));
    expect(transport.writes).toHaveLength(1);
    await turn();
    expect(transport.bytes).toHaveLength(65_536);
  });

  it("writes to each connection its own frames, whether others have the same or different ones", async () => {
    const shared = ["a", "b", "c"].map((text) => encodeText(text));
    const plans = fc.array(fc.array(fc.nat(5), { maxLength: 8 }), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(plans, async (plan) => {
        const queue = new FlushQueue(new Counters());
        const connections = plan.map((picks) => {
          const { transport, outbound } = setUp({ queue });
          for (const pick of picks) outbound.push(shared[pick] ?? encodeText(`own ${pick}`));
          return { transport, expected: picks.map((pick) => "abc"[pick] ?? `own ${pick}`) };
        });
        await turn();
        for (const { transport, expected } of connections) expect(transport.texts).toEqual(expected);
      }),
    );
  });

  it("joins the frames of a fan-out once for all connections with the same frames", async () => {
    const queue = new FlushQueue(new Counters());
    const connections = Array.from({ length: 3 }, () => setUp({ queue }));
    // The frames are apart in memory, so joining them needs a copy.
    const frames = [frameOf(20_000), frameOf(20_000)];
    for (const frame of frames) for (const { outbound } of connections) outbound.push(frame);
    await turn();
    const memories = new Set(connections.map(({ transport }) => transport.writes[0]?.buffer));
    expect(memories.size).toBe(1);
    expect([...memories][0]).toBeDefined();
  });
});

describe("an outbound whose peer doesn't read", () => {
  async function setUpStuck(waitingBytes: number) {
    const parts = setUp({ peerReads: false });
    parts.outbound.push(frameOf(waitingBytes));
    await turn();
    expect(parts.transport.bufferedBytes).toBe(waitingBytes);
    return parts;
  }

  it.each([
    ["accepts a frame that just fits", 500, "buffered"],
    ["refuses one byte more", 501, "refused"],
  ])("%s", async (_, bytes, expected) => {
    const { outbound } = await setUpStuck(500);
    expect(outbound.push(frameOf(bytes))).toBe(expected);
  });

  it("also counts frames that wait for the end of the tick", async () => {
    const { outbound } = await setUpStuck(500);
    expect(outbound.push(frameOf(400))).toBe("buffered");
    expect(outbound.push(frameOf(101))).toBe("refused");
    expect(outbound.push(frameOf(100))).toBe("buffered");
  });

  it("doesn't write refused frames", async () => {
    const { transport, outbound } = await setUpStuck(990);
    expect(outbound.push(encodeText("much too long for what is left"))).toBe("refused");
    expect(outbound.push(encodeText("fits"))).toBe("buffered");
    await turn();
    drain(transport, outbound);
    expect(transport.texts.slice(1)).toEqual(["fits"]);
  });

  it("accepts one frame above the limit when nothing is queued", async () => {
    const { transport, outbound } = setUp({ peerReads: false });
    expect(outbound.push(frameOf(70_000))).toBe("buffered");
    expect(outbound.push(frameOf(10))).toBe("refused");
    await turn();
    expect(transport.bytes).toHaveLength(70_000);
  });

  it("accepts control frames above the limit", async () => {
    const { transport, outbound } = await setUpStuck(1_000);
    outbound.pushControl(encodeText("control"));
    await turn();
    drain(transport, outbound);
    expect(transport.texts[1]).toBe("control");
  });

  it("keeps little other memory alive by queued frames", async () => {
    const { transport, outbound } = await setUpStuck(100);
    outbound.push(encodeText("small"));
    await turn();
    drain(transport, outbound);
    expect(transport.writes[1]?.buffer.byteLength).toBeLessThan(100);
  });
});

describe("an outbound whose transport has unsent bytes", () => {
  /** An outbound with the queued texts "0", "1", … */
  async function setUpWaiting(count: number, options: SetUpOptions = {}) {
    const parts = setUp({ ...options, peerReads: false });
    parts.outbound.push(frameOf(100));
    await turn();
    for (let i = 0; i < count; i++) {
      parts.outbound.push(encodeText(`${i}`));
      await turn();
    }
    return parts;
  }

  it("writes nothing more until the transport has drained", async () => {
    const { transport, outbound } = await setUpWaiting(3);
    expect(transport.writes).toHaveLength(1);
    expect(outbound.bufferedBytes).toBe(109);
    drain(transport, outbound);
    expect(transport.texts.slice(1)).toEqual(["0", "1", "2"]);
    expect(outbound.bufferedBytes).toBe(9);
  });

  it("writes queued frames in slices of at most 64 KiB", async () => {
    const { transport, outbound } = setUp({ peerReads: false, maxBufferedBytes: 1024 * 1024 });
    for (let i = 0; i < 20; i++) {
      outbound.push(frameOf(20_000));
      await turn();
    }
    for (let i = 0; i < 10; i++) drain(transport, outbound);
    expect(transport.writes.map(({ length }) => length)).toEqual([20_000, ...Array(6).fill(60_000), 20_000]);
  });

  it("writes all queued frames at once as soon as its peer reads again", async () => {
    const { transport, outbound } = setUp({ peerReads: false, maxBufferedBytes: 1024 * 1024 });
    for (let i = 0; i < 20; i++) {
      outbound.push(frameOf(20_000));
      await turn();
    }
    transport.peerReads = true;
    drain(transport, outbound);
    expect(transport.bytes).toHaveLength(400_000);
    expect(outbound.push(encodeText("next"))).toBe("sent");
  });

  it("keeps the order of queued frames and frames of the tick in which it drains", async () => {
    const { transport, outbound } = await setUpWaiting(2);
    expect(outbound.push(encodeText("2"))).toBe("buffered");
    transport.peerReads = true;
    drain(transport, outbound);
    expect(outbound.push(encodeText("3"))).toBe("sent");
    await turn();
    expect(transport.texts.slice(1)).toEqual(["0", "1", "2", "3"]);
  });

  it("writes all queued frames with the last frame", async () => {
    const { transport, outbound } = await setUpWaiting(3, { policy: "dropOldest" });
    outbound.pushLast(encodeText("last"));
    outbound.flush();
    expect(transport.texts.slice(1)).toEqual(["0", "1", "2", "last"]);
  });

  it("shares the memory of queued frames with other connections that queue the same", async () => {
    const queue = new FlushQueue(new Counters());
    const connections = [1, 2, 3].map(() => setUp({ queue, peerReads: false }));
    for (const { outbound } of connections) outbound.push(frameOf(100));
    await turn();
    const frame = frameOf(300);
    for (const { outbound } of connections) outbound.push(frame);
    await turn();
    for (const { transport, outbound } of connections) drain(transport, outbound);
    expect(new Set(connections.map(({ transport }) => transport.writes[1]?.buffer)).size).toBe(1);
  });

  it("reports once that the bound was reached, and again when it is reached after a drain", async () => {
    const { transport, outbound, reports } = await setUpWaiting(0, { policy: "dropNewest" });
    for (let i = 0; i < 3; i++) outbound.push(frameOf(950));
    expect(reports).toEqual(["dropNewest 100"]);
    drain(transport, outbound);
    outbound.push(frameOf(500));
    await turn();
    outbound.push(frameOf(501));
    expect(reports).toEqual(["dropNewest 100", "dropNewest 500"]);
  });
});

describe("waiting for an outbound to drain", () => {
  /** State of a promise so far. */
  function watch(promise: Promise<void>): { settled: boolean } {
    const watched = { settled: false };
    void promise.then(() => {
      watched.settled = true;
    });
    return watched;
  }

  it("resolves at once when nothing is queued", async () => {
    await setUp().outbound.whenDrained();
  });

  it("resolves with the tick when the transport takes everything", async () => {
    const { outbound } = setUp();
    outbound.push(encodeText("one"));
    const drained = watch(outbound.whenDrained());
    await Promise.resolve();
    expect(drained.settled).toBe(false);
    await turn();
    expect(drained.settled).toBe(true);
  });

  it("resolves in the next turn for all callers when the current turn has no time left", async () => {
    let now = 0;
    const { outbound } = setUp({ turns: new FairScheduler(() => now) });
    await outbound.whenDrained();
    now = TURN_MS;
    const drained = [watch(outbound.whenDrained()), watch(outbound.whenDrained())];
    await Promise.resolve();
    expect(drained).toEqual([{ settled: false }, { settled: false }]);
    await turn();
    expect(drained).toEqual([{ settled: true }, { settled: true }]);
    await outbound.whenDrained();
  });

  it("resolves when the last queued byte has left", async () => {
    const { transport, outbound } = setUp({ peerReads: false });
    outbound.push(frameOf(500));
    const drained = [watch(outbound.whenDrained()), watch(outbound.whenDrained())];
    await turn();
    outbound.push(encodeText("more"));
    await turn();
    drain(transport, outbound);
    await turn();
    expect(drained).toEqual([{ settled: false }, { settled: false }]);
    drain(transport, outbound);
    await turn();
    expect(drained).toEqual([{ settled: true }, { settled: true }]);
  });

  it.each([
    ["is destroyed", (outbound: Outbound) => outbound.giveUp()],
    ["has its last frame", (outbound: Outbound) => outbound.pushLast(encodeText("last"))],
  ])("resolves when the outbound %s", async (_, end) => {
    const { outbound } = setUp({ peerReads: false });
    outbound.push(frameOf(500));
    await turn();
    const drained = watch(outbound.whenDrained());
    end(outbound);
    await turn();
    expect(drained.settled).toBe(true);
  });
});

describe("an outbound's pongs", () => {
  it("leave at the end of the tick, one for each ping, when nothing is queued", async () => {
    const { transport, outbound } = setUp();
    outbound.pong(Buffer.from("1"));
    outbound.pong(Buffer.from("2"));
    await turn();
    expect(transport.frames.map(({ opcode }) => opcode)).toEqual([0xa, 0xa]);
    expect(transport.texts).toEqual(["1", "2"]);
  });

  it("are one for each ping while little is queued: a peer over TLS takes nothing within the tick itself", async () => {
    const { transport, outbound } = setUp({ peerReads: false });
    outbound.push(frameOf(100));
    await turn();
    for (const payload of ["1", "2", "3"]) {
      outbound.pong(Buffer.from(payload));
      await turn();
    }
    transport.bufferedBytes = 0;
    outbound.drained();
    await turn();
    expect(transport.texts.slice(1)).toEqual(["1", "2", "3"]);
  });

  it("answer only the newest ping while many bytes are queued, and leave after those bytes", async () => {
    const { transport, outbound } = setUp({ peerReads: false });
    outbound.push(frameOf(4096));
    await turn();
    for (const payload of ["1", "2", "3"]) outbound.pong(Buffer.from(payload));
    await turn();
    expect(transport.writes).toHaveLength(1);
    transport.bufferedBytes = 0;
    outbound.drained();
    await turn();
    expect(transport.frames[1]).toMatchObject({ opcode: 0xa });
    expect(transport.texts.slice(1)).toEqual(["3"]);
  });

  it("are sent once", async () => {
    const { transport, outbound } = setUp({ peerReads: false });
    outbound.push(frameOf(4096));
    await turn();
    outbound.pong(Buffer.from("1"));
    transport.bufferedBytes = 0;
    outbound.drained();
    outbound.drained();
    await turn();
    expect(transport.texts.slice(1)).toEqual(["1"]);
  });

  it("keep the order of pings: a ping after the drain is answered after the one before", async () => {
    const { transport, outbound } = setUp({ peerReads: false });
    outbound.push(frameOf(4096));
    await turn();
    outbound.pong(Buffer.from("1"));
    transport.bufferedBytes = 0;
    outbound.pong(Buffer.from("2"));
    outbound.drained();
    await turn();
    const pongs = transport.texts.slice(1);
    expect(pongs.at(-1)).toBe("2");
  });
});
