/**
 * Publishes to one other thread, packed into one piece of memory for each tick. `Link` writes and reads batches.
 */
import type { Frame } from "../../wire/protocol/frame.ts";

/**
 * Bytes before each frame: the receiver's number for the topic and the length of the frame, both 32-bit little-endian.
 */
const RECORD_HEADER_BYTES = 8;
/** Size in bytes at which a batch is posted without waiting for the end of the tick. */
const FULL_BYTES = 64 * 1024;

/** Packs publishes into one piece of memory. Posting a batch costs the same for one publish and for a thousand. */
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

  /** Returns the batch so far, in memory that may be transferred, and starts an empty one. */
  take(): ArrayBuffer {
    const { buffer } = this.#bytes;
    const used = this.#used;
    this.#used = 0;
    // A mostly empty buffer is worth keeping: its content is copied. A mostly full one is given away.
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

/** Reads the publishes of a batch one by one. */
export class BatchReader {
  readonly #block: Buffer;
  #at = 0;
  /** The batch that came after this one. */
  following: BatchReader | undefined;

  constructor(batch: ArrayBuffer) {
    this.#block = Buffer.from(batch);
  }

  get byteLength(): number {
    return this.#block.length;
  }

  /** True when all records have been read. */
  get ended(): boolean {
    return this.#at >= this.#block.length;
  }

  /** Calls `take` for the next record and returns its result. The frame lies in the memory of the batch. */
  next<T>(take: (topicId: number, frame: Frame) => T): T {
    const block = this.#block;
    const topicId = block.readUInt32LE(this.#at);
    const start = this.#at + RECORD_HEADER_BYTES;
    this.#at = start + block.readUInt32LE(this.#at + 4);
    return take(topicId, { block, start, end: this.#at });
  }
}
