import type { Frame } from "../../wire/protocol/frame.ts";

/** A record: the receiver's number for the topic and the frame's length (both 32-bit, little-endian), then the frame. */
const RECORD_HEADER_BYTES = 8;
/** Where a batch is posted without waiting for the end of the tick. */
const FULL_BYTES = 64 * 1024;

/** Publishes to one other thread, packed into one piece of memory: posting it costs the same for one and for a thousand. */
export class BatchWriter {
  #bytes = Buffer.allocUnsafeSlow(0);
  #used = 0;

  get length(): number {
    return this.#used;
  }

  get full(): boolean {
    return this.#used >= FULL_BYTES;
  }

  append(topicId: number, { block, start, end }: Frame): void {
    const needed = this.#used + RECORD_HEADER_BYTES + end - start;
    if (needed > this.#bytes.length) this.#grow(needed);
    this.#bytes.writeUInt32LE(topicId, this.#used);
    this.#bytes.writeUInt32LE(end - start, this.#used + 4);
    block.copy(this.#bytes, this.#used + RECORD_HEADER_BYTES, start, end);
    this.#used = needed;
  }

  /** The batch so far, in memory that may be given away, and an empty writer. */
  take(): ArrayBuffer {
    const { buffer } = this.#bytes;
    const used = this.#used;
    this.#used = 0;
    // A mostly empty buffer is worth keeping; a mostly full one is worth giving.
    if (used * 2 < buffer.byteLength) return buffer.slice(0, used);
    this.#bytes = Buffer.allocUnsafeSlow(0);
    return buffer.byteLength === used ? buffer : buffer.transfer(used);
  }

  #grow(needed: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(2 * this.#bytes.length, 2 * FULL_BYTES), 4096));
    this.#bytes.copy(larger, 0, 0, this.#used);
    this.#bytes = larger;
  }
}

/** What a batch carries, record by record. */
export class BatchReader {
  readonly #block: Buffer;
  #at = 0;
  /** The one that came after it. */
  following: BatchReader | undefined;

  constructor(batch: ArrayBuffer) {
    this.#block = Buffer.from(batch);
  }

  get byteLength(): number {
    return this.#block.length;
  }

  /** Whether all records have been read. */
  get ended(): boolean {
    return this.#at >= this.#block.length;
  }

  /** Calls back for the next record, and returns what that returns. The frame is in the batch's own memory. */
  next<T>(take: (topicId: number, frame: Frame) => T): T {
    const block = this.#block;
    const topicId = block.readUInt32LE(this.#at);
    const start = this.#at + RECORD_HEADER_BYTES;
    this.#at = start + block.readUInt32LE(this.#at + 4);
    return take(topicId, { block, start, end: this.#at });
  }
}
