/** A transport in memory. Used by tests of connections and outbounds. */
import type { Transport, TransportReceiver } from "../../src/wire/transport/transport.ts";
import { parseServerFrame, type ServerFrame } from "./frames.ts";

/**
 * A transport into memory, for tests of what stands above a transport: the test is the peer. Like a TCP transport it
 * reads into one buffer, which the next read overwrites, and closes when both directions have ended.
 */
export class FakeTransport implements Transport {
  readonly writes: Buffer[] = [];
  /** False makes everything that is written count as buffered. */
  peerReads = true;
  bufferedBytes = 0;
  reading = true;
  pauses = 0;
  destroyed = false;
  readonly #readBuffer = Buffer.alloc(64 * 1024);
  #receiver: TransportReceiver | undefined;
  #endedByUs = false;
  #endedByPeer = false;

  // The Transport interface

  start(receiver: TransportReceiver): void {
    this.#receiver = receiver;
  }

  write(bytes: Buffer): void {
    this.writes.push(bytes);
    if (!this.peerReads) this.bufferedBytes += bytes.length;
  }

  pause(): void {
    this.reading = false;
    this.pauses++;
  }

  resume(): void {
    this.reading = true;
  }

  end(): void {
    this.#endedByUs = true;
    if (this.#endedByPeer) this.destroy();
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    queueMicrotask(() => this.#receiver?.closed());
  }

  // For the test

  /** Makes the peer send bytes. */
  feed(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += this.#readBuffer.length) {
      const length = bytes.copy(this.#readBuffer, 0, at);
      this.#receiver?.received(this.#readBuffer.subarray(0, length));
      this.#readBuffer.fill(0xff);
    }
  }

  /** Makes the peer end its direction. */
  endByPeer(): void {
    this.#receiver?.ended();
    this.#endedByPeer = true;
    if (this.#endedByUs) this.destroy();
  }

  /** All bytes that were written. */
  get bytes(): Buffer {
    return Buffer.concat(this.writes);
  }

  /** All complete frames that were written. */
  get frames(): ServerFrame[] {
    return this.framesAfter("");
  }

  /** All complete frames that were written after the answer to a handshake, which must come first. */
  framesAfter(answer: string): ServerFrame[] {
    const { bytes } = this;
    if (!bytes.toString("latin1").startsWith(answer)) throw new Error("the answer must come first");
    const frames: ServerFrame[] = [];
    let parsed = parseServerFrame(bytes.subarray(answer.length));
    for (; parsed !== undefined; parsed = parseServerFrame(parsed.rest)) frames.push(parsed.frame);
    return frames;
  }

  /** The payloads of all complete frames that were written, as text. */
  get texts(): string[] {
    return this.frames.map(({ payload }) => payload.toString());
  }
}
