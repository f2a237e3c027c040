import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeText, type Frame } from "../../src/protocol/frame.ts";
import { FlushQueue, Outbound } from "../../src/shard/outbound.ts";
import type { Transport, TransportReceiver } from "../../src/transport/transport.ts";
import { parseServerFrame, type ServerFrame } from "../support/frames.ts";

/** A transport into memory, whose peer takes bytes only while its valve is open. */
class Valve implements Transport {
  readonly writes: Buffer[] = [];
  open = true;
  bufferedBytes = 0;

  write(bytes: Buffer): void {
    this.writes.push(bytes);
    if (!this.open) this.bufferedBytes += bytes.length;
  }

  start(_receiver: TransportReceiver): void {}
  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}

  get bytes(): Buffer {
    return Buffer.concat(this.writes);
  }

  get frames(): ServerFrame[] {
    const frames: ServerFrame[] = [];
    let parsed = parseServerFrame(this.bytes);
    while (parsed !== undefined) {
      frames.push(parsed.frame);
      parsed = parseServerFrame(parsed.rest);
    }
    return frames;
  }

  get texts(): string[] {
    return this.frames.map(({ payload }) => payload.toString());
  }
}

const MAX_BUFFERED_BYTES = 1_000;

function setUp({ queue = new FlushQueue(), open = true } = {}) {
  const valve = new Valve();
  valve.open = open;
  return { valve, queue, outbound: new Outbound(valve, queue, MAX_BUFFERED_BYTES) };
}

/** A frame of that many bytes on the wire. */
function frameOf(bytes: number): Frame {
  const frame = encodeText("x".repeat(bytes < 128 ? bytes - 2 : bytes < 65_540 ? bytes - 4 : bytes - 10));
  expect(frame.end - frame.start).toBe(bytes);
  return frame;
}

describe("an outbound", () => {
  it("writes what was pushed in one tick at its end, in order, in one piece", async () => {
    const { valve, outbound } = setUp();
    for (const text of ["one", "two", "three"]) expect(outbound.push(encodeText(text))).toBe("sent");
    expect(valve.writes).toEqual([]);
    await turn();
    expect(valve.writes).toHaveLength(1);
    expect(valve.texts).toEqual(["one", "two", "three"]);
  });

  it("writes nothing twice", async () => {
    const { valve, outbound } = setUp();
    outbound.push(encodeText("one"));
    outbound.flush();
    await turn();
    outbound.push(encodeText("two"));
    await turn();
    await turn();
    expect(valve.texts).toEqual(["one", "two"]);
  });

  it("writes before the end of the tick once 64 KiB have come together", async () => {
    const { valve, outbound } = setUp();
    outbound.push(frameOf(65_000));
    expect(valve.writes).toHaveLength(0);
    outbound.push(frameOf(536));
    expect(valve.writes).toHaveLength(1);
    await turn();
    expect(valve.bytes).toHaveLength(65_536);
  });

  it("writes for connections with the same and with different frames what each was given", async () => {
    const shared = ["a", "b", "c"].map((text) => encodeText(text));
    const plans = fc.array(fc.array(fc.nat(5), { maxLength: 8 }), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(plans, async (plan) => {
        const queue = new FlushQueue();
        const connections = plan.map((picks) => {
          const { valve, outbound } = setUp({ queue });
          for (const pick of picks) outbound.push(shared[pick] ?? encodeText(`own ${pick}`));
          return { valve, expected: picks.map((pick) => "abc"[pick] ?? `own ${pick}`) };
        });
        await turn();
        for (const { valve, expected } of connections) expect(valve.texts).toEqual(expected);
      }),
    );
  });

  it("joins the frames of a fan-out once for all who get the same", async () => {
    const queue = new FlushQueue();
    const connections = Array.from({ length: 3 }, () => setUp({ queue }));
    // Apart in memory, so that joining them is a copy.
    const frames = [frameOf(20_000), frameOf(20_000)];
    for (const frame of frames) for (const { outbound } of connections) outbound.push(frame);
    await turn();
    const memories = new Set(connections.map(({ valve }) => valve.writes[0]?.buffer));
    expect(memories.size).toBe(1);
    expect([...memories][0]).toBeDefined();
  });
});

describe("an outbound whose peer doesn't read", () => {
  async function setUpStuck(waitingBytes: number) {
    const parts = setUp({ open: false });
    parts.outbound.push(frameOf(waitingBytes));
    await turn();
    expect(parts.valve.bufferedBytes).toBe(waitingBytes);
    return parts;
  }

  it.each([
    ["takes what just fits", 500, "buffered"],
    ["refuses one byte more", 501, "refused"],
  ])("%s", async (_, bytes, expected) => {
    const { outbound } = await setUpStuck(500);
    expect(outbound.push(frameOf(bytes))).toBe(expected);
  });

  it("counts what waits for the end of the tick, too", async () => {
    const { outbound } = await setUpStuck(500);
    expect(outbound.push(frameOf(400))).toBe("buffered");
    expect(outbound.push(frameOf(101))).toBe("refused");
    expect(outbound.push(frameOf(100))).toBe("buffered");
  });

  it("doesn't write what it refused", async () => {
    const { valve, outbound } = await setUpStuck(990);
    expect(outbound.push(encodeText("much too long for what is left"))).toBe("refused");
    expect(outbound.push(encodeText("fits"))).toBe("buffered");
    await turn();
    expect(valve.texts.slice(1)).toEqual(["fits"]);
  });

  it("takes one frame above the limit when nothing waits", async () => {
    const { valve, outbound } = setUp({ open: false });
    expect(outbound.push(frameOf(70_000))).toBe("sent");
    expect(outbound.push(frameOf(10))).toBe("refused");
    await turn();
    expect(valve.bytes).toHaveLength(70_000);
  });

  it("takes control frames above the limit", async () => {
    const { valve, outbound } = await setUpStuck(1_000);
    outbound.pushControl(encodeText("control"));
    await turn();
    expect(valve.texts[1]).toBe("control");
  });

  it("lets what waits pin little other memory", async () => {
    const { valve, outbound } = await setUpStuck(100);
    outbound.push(encodeText("small"));
    await turn();
    expect(valve.writes[1]?.buffer.byteLength).toBeLessThan(100);
  });
});

describe("an outbound's pongs", () => {
  it("leave at the end of the tick when nothing waits, one for each ping", async () => {
    const { valve, outbound } = setUp();
    outbound.pong(Buffer.from("1"));
    outbound.pong(Buffer.from("2"));
    await turn();
    expect(valve.frames.map(({ opcode }) => opcode)).toEqual([0xa, 0xa]);
    expect(valve.texts).toEqual(["1", "2"]);
  });

  it("are one for each ping while little waits: a peer over TLS takes nothing in the tick itself", async () => {
    const { valve, outbound } = setUp({ open: false });
    outbound.push(frameOf(100));
    await turn();
    for (const payload of ["1", "2", "3"]) {
      outbound.pong(Buffer.from(payload));
      await turn();
    }
    expect(valve.texts.slice(1)).toEqual(["1", "2", "3"]);
  });

  it("are for the newest ping only when many bytes wait, and leave when those are gone", async () => {
    const { valve, outbound } = setUp({ open: false });
    outbound.push(frameOf(4096));
    await turn();
    for (const payload of ["1", "2", "3"]) outbound.pong(Buffer.from(payload));
    await turn();
    expect(valve.writes).toHaveLength(1);
    valve.bufferedBytes = 0;
    outbound.drained();
    await turn();
    expect(valve.frames[1]).toMatchObject({ opcode: 0xa });
    expect(valve.texts.slice(1)).toEqual(["3"]);
  });

  it("are owed no longer once they have left", async () => {
    const { valve, outbound } = setUp({ open: false });
    outbound.push(frameOf(4096));
    await turn();
    outbound.pong(Buffer.from("1"));
    valve.bufferedBytes = 0;
    outbound.drained();
    outbound.drained();
    await turn();
    expect(valve.texts.slice(1)).toEqual(["1"]);
  });

  it("never go backwards: a ping after the drain is answered after the one that was owed", async () => {
    const { valve, outbound } = setUp({ open: false });
    outbound.push(frameOf(4096));
    await turn();
    outbound.pong(Buffer.from("1"));
    valve.bufferedBytes = 0;
    outbound.pong(Buffer.from("2"));
    outbound.drained();
    await turn();
    const pongs = valve.texts.slice(1);
    expect(pongs.at(-1)).toBe("2");
  });
});
