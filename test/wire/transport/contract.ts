/** The contract of transports, as tests for each implementation. */
import { describe, expect, it } from "vitest";
import { itEnds, itWrites } from "./contract-output.ts";
import { LOTS, type TransportFactory, written } from "./pair.ts";
import { pattern, Recorder, settle } from "./recorder.ts";

/** The test suite that every implementation of `Transport` passes. */
export function itIsATransport(open: TransportFactory): void {
  describe("receiving", () => itReceives(open));
  describe("pausing", () => itPauses(open));
  describe("writing", () => itWrites(open));
  describe("ending", () => itEnds(open));
}

function itReceives(open: TransportFactory): void {
  it("delivers bytes that arrived before the start, once started", async () => {
    const { transport, peer } = await open();
    await written(peer, Buffer.from("early"));
    await settle();
    const receiver = new Recorder();
    transport.start(receiver);
    await receiver.until(() => receiver.byteLength >= 5);
    expect(receiver.bytes.toString()).toBe("early");
  });

  it("delivers the head first and once", async () => {
    const { transport, peer } = await open(Buffer.from("head, "));
    await written(peer, Buffer.from("then the stream"));
    const receiver = new Recorder();
    transport.start(receiver);
    await receiver.until(() => receiver.byteLength >= 21);
    transport.pause();
    transport.resume();
    peer.end("!");
    await receiver.called("ended");
    expect(receiver.bytes.toString()).toBe("head, then the stream!");
  });

  it("makes no call for an empty head", async () => {
    const { transport } = await open(Buffer.alloc(0));
    const receiver = new Recorder();
    transport.start(receiver);
    await settle();
    expect(receiver.calls).toEqual([]);
  });

  it("delivers bytes in order, one at a time", async () => {
    const { transport, peer } = await open();
    const receiver = new Recorder();
    transport.start(receiver);
    const bytes = pattern(300);
    for (const byte of bytes) await written(peer, Buffer.from([byte]));
    await receiver.until(() => receiver.byteLength >= bytes.length);
    expect(receiver.bytes).toEqual(bytes);
  });

  it("delivers bytes in order, many at a time", async () => {
    const { transport, peer } = await open();
    const receiver = new Recorder();
    transport.start(receiver);
    const bytes = pattern(3_000_000);
    peer.end(bytes);
    await receiver.called("ended");
    expect(receiver.bytes.equals(bytes)).toBe(true);
  });

  it("keeps the streams of two transports apart", async () => {
    const pairs = [await open(), await open()];
    const receivers = pairs.map(() => new Recorder());
    const streams = [Buffer.alloc(1_000_000, "a"), Buffer.alloc(1_000_000, "b")];
    pairs.forEach(({ transport, peer }, i) => {
      transport.start(receivers[i] as Recorder);
      peer.end(streams[i]);
    });
    for (const [i, receiver] of receivers.entries()) {
      await receiver.called("ended");
      expect(receiver.bytes.equals(streams[i] as Buffer)).toBe(true);
    }
  });
}

function itPauses(open: TransportFactory): void {
  it("delivers no more than the read in progress while paused, and the rest on resume", async () => {
    const { transport, peer } = await open();
    const receiver = new Recorder((call) => {
      if (call === "received" && receiver.count("received") === 1) transport.pause();
    });
    transport.start(receiver);
    const bytes = pattern(LOTS);
    peer.end(bytes);
    await receiver.called("received");
    await settle();
    expect(receiver.calls).toEqual(["received"]);
    expect(peer.writableLength).toBeGreaterThan(0);
    transport.resume();
    await receiver.called("ended");
    expect(receiver.bytes.equals(bytes)).toBe(true);
  });

  it("delivers nothing after the head when the receiver pauses within that call", async () => {
    const { transport, peer } = await open(Buffer.from("head "));
    await written(peer, Buffer.from("rest"));
    await settle();
    const receiver = new Recorder((call) => {
      if (call === "received" && receiver.count("received") === 1) transport.pause();
    });
    transport.start(receiver);
    await settle();
    expect(receiver.bytes.toString()).toBe("head ");
    transport.resume();
    await receiver.until(() => receiver.byteLength >= 9);
    expect(receiver.bytes.toString()).toBe("head rest");
  });

  it("delivers nothing when it is started paused, and the head first on resume", async () => {
    const { transport, peer } = await open(Buffer.from("head "));
    await written(peer, Buffer.from("rest"));
    const receiver = new Recorder();
    transport.pause();
    transport.start(receiver);
    await settle();
    expect(receiver.calls).toEqual([]);
    transport.resume();
    await receiver.until(() => receiver.byteLength >= 9);
    expect(receiver.bytes.toString()).toBe("head rest");
  });

  it("doesn't report the peer's end while paused", async () => {
    const { transport, peer } = await open();
    const receiver = new Recorder();
    transport.start(receiver);
    transport.pause();
    peer.end("last words");
    await settle();
    expect(receiver.calls).toEqual([]);
    transport.resume();
    await receiver.called("ended");
    expect(receiver.bytes.toString()).toBe("last words");
  });

  it("works after many pauses and resumes", async () => {
    const { transport, peer } = await open();
    const receiver = new Recorder((call) => {
      if (call !== "received") return;
      transport.pause();
      setImmediate(() => transport.resume());
    });
    transport.start(receiver);
    const bytes = pattern(2_000_000);
    peer.end(bytes);
    await receiver.called("ended");
    expect(receiver.bytes.equals(bytes)).toBe(true);
  });
}
