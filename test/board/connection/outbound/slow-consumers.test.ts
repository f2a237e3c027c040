import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FlushQueue } from "../../../../src/board/connection/outbound/flush-queue.ts";
import { Counters } from "../../../../src/runtime/stats/counters.ts";
import { encodeText } from "../../../../src/wire/protocol/frame.ts";
import { parseServerFrame } from "../../../support/frames.ts";
import { drain, frameOf, MAX_BUFFERED_BYTES, type SetUpOptions, setUp } from "./outbound-parts.ts";

function payloadBytes(block: Buffer, start: number, end: number): number {
  return parseServerFrame(block.subarray(start, end))?.frame.payload.length ?? -1;
}

describe("an outbound that drops the newest", () => {
  it("drops the frames that don't fit, and nothing else", async () => {
    const { transport, outbound, counters } = setUp({ peerReads: false, policy: "dropNewest" });
    outbound.push(frameOf(500));
    await turn();
    expect(outbound.push(encodeText("kept"))).toBe("buffered");
    expect(outbound.push(frameOf(600))).toBe("dropped");
    expect(outbound.push(encodeText("kept, too"))).toBe("buffered");
    await turn();
    drain(transport, outbound);
    expect(transport.texts.slice(1)).toEqual(["kept", "kept, too"]);
    expect(counters.get("droppedNewest")).toBe(1);
  });
});

describe("an outbound that drops the oldest", () => {
  it.each([
    ["in one tick", false],
    ["in ticks of their own", true],
  ])("keeps the newest frames that fit, of many frames %s", async (_, ticks) => {
    const { transport, outbound, counters } = setUp({ peerReads: false, policy: "dropOldest" });
    outbound.push(frameOf(500));
    await turn();
    for (let i = 0; i < 100; i++) {
      expect(outbound.push(encodeText(`${i}`.padStart(100)))).toBe("buffered");
      if (ticks) await turn();
    }
    expect(outbound.bufferedBytes).toBeLessThanOrEqual(MAX_BUFFERED_BYTES);
    await turn();
    transport.peerReads = true;
    drain(transport, outbound);
    const numbers = transport.texts.slice(1).map(Number);
    expect(numbers.length).toBeGreaterThan(1);
    expect(numbers).toEqual(Array.from(numbers, (_, i) => 100 - numbers.length + i));
    expect(counters.get("droppedOldest")).toBe(100 - numbers.length);
  });

  it("never drops a part of a frame, whatever its length", async () => {
    const sizes = fc.array(fc.constantFrom(2, 10, 127, 130, 400, 900, 1_500, 66_000), { minLength: 1, maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: 1, max: 5 }), async (all, perTick) => {
        const { transport, outbound, counters } = setUp({ peerReads: false, policy: "dropOldest" });
        outbound.push(frameOf(20));
        await turn();
        for (const [i, size] of all.entries()) {
          outbound.push(frameOf(size));
          expect(outbound.bufferedBytes).toBeLessThanOrEqual(Math.max(MAX_BUFFERED_BYTES, 20 + size));
          if (i % perTick === 0) await turn();
        }
        await turn();
        transport.peerReads = true;
        drain(transport, outbound);
        const got = transport.frames.slice(1).map(({ payload }) => payload.length);
        const sent = all.map((size) => frameOf(size)).map(({ block, start, end }) => payloadBytes(block, start, end));
        expect(got).toEqual(sent.slice(sent.length - got.length));
        expect(got.length + counters.get("droppedOldest")).toBe(sent.length);
      }),
    );
  });

  it("keeps the newest frame even if that frame alone exceeds the limit", async () => {
    const { transport, outbound } = setUp({ peerReads: false, policy: "dropOldest" });
    outbound.push(frameOf(20));
    await turn();
    for (const text of ["a", "b"]) outbound.push(encodeText(text.repeat(2_000)));
    await turn();
    drain(transport, outbound);
    expect(transport.texts.slice(1)).toEqual(["b".repeat(2_000)]);
  });
});

describe("an outbound that conflates", () => {
  async function setUpStuck(options: SetUpOptions = {}) {
    const parts = setUp({ ...options, peerReads: false, policy: "conflate" });
    parts.outbound.push(frameOf(100));
    await turn();
    const read = (): string[] => {
      parts.transport.peerReads = true;
      drain(parts.transport, parts.outbound);
      return parts.transport.texts.slice(1);
    };
    return { ...parts, read };
  }

  it("keeps the newest publish of each topic, in the place of the first", async () => {
    const { outbound, counters, read } = await setUpStuck();
    for (const text of ["a1", "b1", "a2", "a3", "c1", "b2"]) {
      expect(outbound.push(encodeText(text), text.charAt(0))).toBe("buffered");
      await turn();
    }
    expect(read()).toEqual(["a3", "b2", "c1"]);
    expect(counters.get("conflated")).toBe(3);
  });

  it("keeps everything that was sent, in order", async () => {
    const { outbound, read } = await setUpStuck();
    for (let i = 0; i < 5; i++) {
      outbound.push(encodeText(`sent ${i}`));
      outbound.push(encodeText(`published ${i}`), "news");
    }
    await turn();
    expect(read()).toEqual(["sent 0", "published 4", "sent 1", "sent 2", "sent 3", "sent 4"]);
  });

  it("doesn't change publishes while nothing is queued", async () => {
    const { transport, outbound } = setUp({ policy: "conflate" });
    for (let i = 0; i < 5; i++) expect(outbound.push(encodeText(`${i}`), "news")).toBe("sent");
    await turn();
    expect(transport.texts).toEqual(["0", "1", "2", "3", "4"]);
  });

  it("starts anew when the queued frames have left", async () => {
    const { transport, outbound, read } = await setUpStuck();
    outbound.push(encodeText("1"), "news");
    expect(read()).toEqual(["1"]);
    transport.peerReads = false;
    outbound.push(frameOf(100));
    await turn();
    for (const text of ["2", "3"]) outbound.push(encodeText(text), "news");
    expect(read().filter((text) => text.length === 1)).toEqual(["1", "3"]);
  });

  it("lets one frame wait behind bytes of the transport that reach the limit by themselves", async () => {
    const { transport, outbound, reports } = setUp({ peerReads: false, policy: "conflate" });
    outbound.push(frameOf(MAX_BUFFERED_BYTES));
    await turn();
    for (const text of ["1", "2", "3".padEnd(2_000)]) expect(outbound.push(encodeText(text), "news")).toBe("buffered");
    expect(reports).toEqual([]);
    transport.peerReads = true;
    drain(transport, outbound);
    expect(transport.texts.slice(1).map((text) => text.trim())).toEqual(["3"]);
  });

  it("refuses a frame that exceeds the limit all the same", async () => {
    const { outbound, reports } = await setUpStuck();
    for (let i = 0; i < 10; i++) expect(outbound.push(frameOf(300), "news")).toBe("buffered");
    expect(outbound.push(frameOf(600), "sport")).toBe("refused");
    expect(outbound.push(frameOf(600))).toBe("refused");
    expect(reports).toEqual(["conflate 400"]);
  });

  it("shares the memory of queued frames with other connections that queue the same", async () => {
    const queue = new FlushQueue(new Counters());
    const connections = await Promise.all([1, 2, 3].map(() => setUpStuck({ queue })));
    for (let i = 0; i < 3; i++) {
      const frame = encodeText(`${i}`);
      for (const { outbound } of connections) outbound.push(frame, "news");
    }
    for (const { read } of connections) expect(read()).toEqual(["2"]);
    expect(new Set(connections.map(({ transport }) => transport.writes[1]?.buffer)).size).toBe(1);
    expect(connections[0]?.transport.writes[1]?.buffer.byteLength).toBe(3);
  });
});

describe("a topic with a policy of its own", () => {
  it("has that policy, and other frames have the connection's", async () => {
    const { transport, outbound } = setUp({ peerReads: false, policy: "close" });
    outbound.setTopicPolicy("price", "conflate");
    outbound.push(frameOf(20));
    await turn();
    for (let i = 0; i < 100; i++) outbound.push(encodeText(`${i}`.padStart(100)), "price");
    expect(outbound.push(encodeText("sent"))).toBe("buffered");
    await turn();
    transport.peerReads = true;
    drain(transport, outbound);
    expect(transport.texts.slice(1).map((each) => each.trim())).toEqual(["99", "sent"]);
    outbound.setTopicPolicy("price", undefined);
    transport.peerReads = false;
    outbound.push(frameOf(500));
    await turn();
    outbound.push(frameOf(400));
    expect(outbound.push(frameOf(400), "price")).toBe("refused");
  });
});
