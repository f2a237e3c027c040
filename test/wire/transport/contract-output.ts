/** The part of the transport contract about writing and ending. Used by `contract.ts`. */
import { once } from "node:events";
import { expect, it } from "vitest";
import { collect, LOTS, type TransportFactory, written } from "./pair.ts";
import { pattern, Recorder, settle } from "./recorder.ts";

/** Tests of writing, for every transport. */
export function itWrites(open: TransportFactory): void {
  it("writes in order", async () => {
    const { transport, peer } = await open();
    transport.start(new Recorder());
    for (let i = 0; i < 1_000; i++) transport.write(Buffer.from(`${i} `));
    transport.end();
    const sent = Array.from({ length: 1_000 }, (_, i) => `${i} `).join("");
    expect((await collect(peer)).toString()).toBe(sent);
  });

  it("counts bytes that its peer doesn't read, and reports once when all are gone", async () => {
    const { transport, peer } = await open();
    let bufferedWhenDrained: number | undefined;
    const receiver = new Recorder((call) => {
      if (call === "drained") bufferedWhenDrained = transport.bufferedBytes;
    });
    transport.start(receiver);
    transport.write(Buffer.alloc(LOTS / 2));
    transport.write(Buffer.alloc(LOTS / 2));
    await settle();
    expect(transport.bufferedBytes).toBeGreaterThan(0);
    expect(transport.bufferedBytes).toBeLessThanOrEqual(LOTS);
    expect(receiver.calls).toEqual([]);
    peer.resume();
    await receiver.called("drained");
    await settle();
    expect(receiver.calls).toEqual(["drained"]);
    expect(bufferedWhenDrained).toBe(0);
  });

  it("reports every time that it has drained", async () => {
    const { transport, peer } = await open();
    const receiver = new Recorder();
    transport.start(receiver);
    peer.resume();
    for (let round = 1; round <= 3; round++) {
      transport.write(Buffer.alloc(LOTS));
      expect(transport.bufferedBytes).toBeGreaterThan(0);
      await receiver.until(() => receiver.count("drained") === round);
      expect(transport.bufferedBytes).toBe(0);
    }
  });

  it("reports the drain also after bytes that were written while draining", async () => {
    const { transport, peer } = await open();
    let bufferedWhenDrained: number | undefined;
    const receiver = new Recorder((call) => {
      if (call === "drained") bufferedWhenDrained = transport.bufferedBytes;
    });
    transport.start(receiver);
    transport.write(Buffer.alloc(LOTS));
    let got = 0;
    let more = true;
    peer.on("data", (chunk: Buffer) => {
      got += chunk.length;
      if (more && got > LOTS / 2) {
        more = false;
        transport.write(Buffer.alloc(LOTS));
      }
    });
    await receiver.called("drained");
    expect(bufferedWhenDrained).toBe(0);
    transport.end();
    await once(peer, "end");
    expect(got).toBe(2 * LOTS);
    expect(receiver.count("drained")).toBe(1);
  });

  it("reports no drain when nothing waited", async () => {
    const { transport, peer } = await open();
    const receiver = new Recorder();
    transport.start(receiver);
    transport.write(Buffer.from("small"));
    const waited = transport.bufferedBytes > 0;
    await once(peer, "readable");
    await settle();
    expect(receiver.count("drained")).toBe(waited ? 1 : 0);
  });
}

/** Tests of ending, for every transport. */
export function itEnds(open: TransportFactory): void {
  it("reports the peer's end once, and still writes", async () => {
    const { transport, peer } = await open();
    const receiver = new Recorder();
    transport.start(receiver);
    peer.end();
    await receiver.called("ended");
    transport.write(Buffer.from("answer"));
    const waited = transport.bufferedBytes > 0;
    transport.end();
    expect((await collect(peer)).toString()).toBe("answer");
    await receiver.called("closed");
    expect(receiver.calls).toEqual(waited ? ["ended", "drained", "closed"] : ["ended", "closed"]);
  });

  it("ends after everything that is queued", async () => {
    const { transport, peer } = await open();
    const receiver = new Recorder();
    transport.start(receiver);
    const bytes = pattern(LOTS);
    transport.write(bytes);
    transport.end();
    expect((await collect(peer)).equals(bytes)).toBe(true);
    peer.end();
    await receiver.called("closed");
  });

  it("still receives after its own end", async () => {
    const { transport, peer } = await open();
    const receiver = new Recorder();
    transport.start(receiver);
    transport.end();
    peer.resume();
    await once(peer, "end");
    peer.end("late");
    await receiver.called("closed");
    expect(receiver.bytes.toString()).toBe("late");
    expect(receiver.count("ended")).toBe(1);
  });

  it("drops everything queued when it is destroyed, and reports only the close", async () => {
    const { transport, peer } = await open();
    const receiver = new Recorder();
    transport.start(receiver);
    transport.write(Buffer.alloc(LOTS));
    transport.destroy();
    await receiver.called("closed");
    peer.on("error", () => {});
    peer.resume();
    peer.end();
    // With or without an error.
    if (!peer.closed) await new Promise((resolve) => peer.once("close", resolve));
    await settle();
    expect(receiver.calls).toEqual(["closed"]);
  });

  it("delivers nothing more when its receiver destroys it", async () => {
    const { transport, peer } = await open(Buffer.from("head"));
    await written(peer, Buffer.from("rest"));
    peer.on("error", () => {});
    const receiver = new Recorder((call) => {
      if (call === "received") transport.destroy();
    });
    transport.start(receiver);
    await receiver.called("closed");
    await settle();
    expect(receiver.calls).toEqual(["received", "closed"]);
  });

  it("closes once when the peer vanishes", async () => {
    const { transport, vanish } = await open();
    const receiver = new Recorder();
    transport.start(receiver);
    vanish();
    await receiver.called("closed");
    await settle();
    expect(receiver.calls).toEqual(["closed"]);
  });

  it("closes once when the peer vanishes with bytes queued for it", async () => {
    const { transport, vanish } = await open();
    const receiver = new Recorder();
    transport.start(receiver);
    transport.write(Buffer.alloc(LOTS));
    vanish();
    await receiver.called("closed");
    await settle();
    expect(receiver.calls).toEqual(["closed"]);
  });

  it("closes, but not within the start, when the peer vanished before the start", async () => {
    const { transport, vanish } = await open();
    vanish();
    await settle();
    const receiver = new Recorder();
    transport.start(receiver);
    expect(receiver.calls).toEqual([]);
    await receiver.called("closed");
    expect(receiver.calls).toEqual(["closed"]);
  });

  it("closes when it was destroyed before the start", async () => {
    const { transport } = await open(Buffer.from("head"));
    transport.destroy();
    await settle();
    const receiver = new Recorder();
    transport.start(receiver);
    expect(receiver.calls).toEqual([]);
    await receiver.called("closed");
    expect(receiver.calls).toEqual(["closed"]);
  });

  it("ignores every call once it is closed", async () => {
    const { transport } = await open();
    const receiver = new Recorder();
    transport.start(receiver);
    transport.destroy();
    await receiver.called("closed");
    transport.write(Buffer.from("late"));
    transport.pause();
    transport.resume();
    transport.end();
    transport.destroy();
    await settle();
    expect(transport.bufferedBytes).toBe(0);
    expect(receiver.calls).toEqual(["closed"]);
  });
}
