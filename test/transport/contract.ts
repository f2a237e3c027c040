import { once } from "node:events";
import type { Duplex } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { Transport, TransportReceiver } from "../../src/transport/transport.ts";

/** A transport and what its peer holds. */
export interface TransportPair {
  readonly transport: Transport;
  /** The peer's end of the byte stream, half-open allowed. */
  readonly peer: Duplex;
  /** Makes the peer vanish without an end. */
  readonly vanish: () => void;
}

/** Opens a transport that hasn't been started, with bytes that were read before it existed. Cleans up when the test ends. */
export type TransportFactory = (head?: Buffer<ArrayBuffer>) => Promise<TransportPair>;

type Call = "received" | "drained" | "ended" | "closed";

/** More than the buffers below any transport take. */
const LOTS = 32 * 1024 * 1024;

/** Writes down every call, and copies what it is lent. */
class Recorder implements TransportReceiver {
  readonly calls: Call[] = [];
  byteLength = 0;
  readonly #chunks: Buffer[] = [];
  readonly #react: (call: Call) => void;
  #wake: () => void = () => {};

  /** @param react what the receiver does inside each call */
  constructor(react: (call: Call) => void = () => {}) {
    this.#react = react;
  }

  received(chunk: Buffer): void {
    this.#chunks.push(Buffer.from(chunk));
    this.byteLength += chunk.length;
    this.#called("received");
  }

  drained(): void {
    this.#called("drained");
  }

  ended(): void {
    this.#called("ended");
  }

  closed(): void {
    this.#called("closed");
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  count(call: Call): number {
    return this.calls.filter((each) => each === call).length;
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async called(call: Call): Promise<void> {
    await this.until(() => this.calls.includes(call));
  }

  #called(call: Call): void {
    this.calls.push(call);
    this.#react(call);
    this.#wake();
  }
}

/** Bytes whose order shows. */
function pattern(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8)) & 0xff;
  return bytes;
}

/** Time for whatever may come, in turns of the event loop: what was written before is readable in the next. */
async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await turn();
}

async function written(peer: Duplex, bytes: Uint8Array): Promise<void> {
  await new Promise<void>((resolve, reject) =>
    peer.write(bytes, (error) => (error == null ? resolve() : reject(error))),
  );
}

async function collect(peer: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  peer.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(peer, "end");
  return Buffer.concat(chunks);
}

/** The suite that every implementation of `Transport` passes. */
export function itIsATransport(open: TransportFactory): void {
  describe("receiving", () => itReceives(open));
  describe("pausing", () => itPauses(open));
  describe("writing", () => itWrites(open));
  describe("ending", () => itEnds(open));
}

function itReceives(open: TransportFactory): void {
  it("delivers what arrived before the start, once started", async () => {
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

  it("delivers nothing after the head when that makes its receiver pause", async () => {
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

  it("doesn't tell of the peer's end while paused", async () => {
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

  it("survives pausing and resuming again and again", async () => {
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

function itWrites(open: TransportFactory): void {
  it("writes in order", async () => {
    const { transport, peer } = await open();
    transport.start(new Recorder());
    for (let i = 0; i < 1_000; i++) transport.write(Buffer.from(`${i} `));
    transport.end();
    const sent = Array.from({ length: 1_000 }, (_, i) => `${i} `).join("");
    expect((await collect(peer)).toString()).toBe(sent);
  });

  it("counts what its peer doesn't read, and tells once when all of it is gone", async () => {
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

  it("tells of every time that it has drained", async () => {
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

  it("tells of the drain after what was written while draining, too", async () => {
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

  it("tells of no drain when nothing waited", async () => {
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

function itEnds(open: TransportFactory): void {
  it("tells once that the peer has ended, and still writes", async () => {
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

  it("ends after all that is queued", async () => {
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

  it("drops what is queued when it is destroyed, and tells nothing but the close", async () => {
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

  it("closes, but not inside the start, when the peer vanished before it", async () => {
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
