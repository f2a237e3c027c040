/**
 * Publishes to one other thread, packed into one piece of memory for each tick. `Link`, and the engine thread and its
 * clients, write and read batches.
 */
import type { Frame } from "../../wire/protocol/frame.ts";
import type { StreamRecord } from "../streams/publication.ts";

/**
 * Bytes before each frame: the receiver's number for the topic and the length of the frame, both 32-bit little-endian.
 */
const RECORD_HEADER_BYTES = 8;
/** Bytes of the offset and the time of a record of a stream, after its header: two 64-bit floats, little-endian. */
const PLACE_BYTES = 16;
/** Size in bytes at which a batch is posted without waiting for the end of the tick. */
const FULL_BYTES = 64 * 1024;

/** Packs publishes into one piece of memory. Posting a batch costs the same for one publish and for a thousand. */
export class BatchWriter {
  #bytes: Buffer<ArrayBuffer>;
  #used = 0;

  /** @param capacityBytes size of the memory to begin with */
  constructor(capacityBytes = 0) {
    this.#bytes = Buffer.allocUnsafeSlow(capacityBytes);
  }

  get length(): number {
    return this.#used;
  }

  get full(): boolean {
    return this.#used >= FULL_BYTES;
  }

  append(topicId: number, frame: Frame): void {
    this.#append(topicId, frame, RECORD_HEADER_BYTES);
  }

  /** Appends a publication of a stream. A batch has either frames or publications. */
  appendRecord(topicId: number, { frame, offset, timeMs }: StreamRecord): void {
    const at = this.#used + RECORD_HEADER_BYTES;
    this.#append(topicId, frame, RECORD_HEADER_BYTES + PLACE_BYTES);
    this.#bytes.writeDoubleLE(offset, at);
    this.#bytes.writeDoubleLE(timeMs, at + 8);
  }

  #append(topicId: number, { block, start, end }: Frame, headerBytes: number): void {
    const needed = this.#used + headerBytes + end - start;
    if (needed > this.#bytes.length) this.#grow(needed);
    this.#bytes.writeUInt32LE(topicId, this.#used);
    this.#bytes.writeUInt32LE(end - start, this.#used + 4);
    block.copy(this.#bytes, this.#used + headerBytes, start, end);
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
  /** Callbacks to call when all records have been read. */
  after: (() => void)[] | undefined;

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

  /** Calls `take` for the next publication of a stream and returns its result. */
  nextRecord<T>(take: (topicId: number, record: StreamRecord) => T): T {
    const block = this.#block;
    const topicId = block.readUInt32LE(this.#at);
    const place = this.#at + RECORD_HEADER_BYTES;
    const start = place + PLACE_BYTES;
    this.#at = start + block.readUInt32LE(this.#at + 4);
    const [offset, timeMs] = [block.readDoubleLE(place), block.readDoubleLE(place + 8)];
    return take(topicId, { offset, timeMs, frame: { block, start, end: this.#at } });
  }
}

/**
 * Bytes before the frames of `packRecords`, for each: the offset, the time and the length of the frame, 64-bit floats.
 */
const PACKED_HEADER_BYTES = 24;

/**
 * Packs publications of one stream, for `unpackRecords` in another thread: the number of publications, all headers, and
 * then the frames side by side, so that one view holds any part of them. The memory may be transferred.
 */
export function packRecords(records: readonly StreamRecord[]): ArrayBuffer {
  let bytes = 8 + records.length * PACKED_HEADER_BYTES;
  const framesAt = bytes;
  for (const { frame } of records) bytes += frame.end - frame.start;
  const packed = Buffer.allocUnsafeSlow(bytes);
  const headers = new Float64Array(packed.buffer, 0, framesAt / 8);
  headers[0] = records.length;
  let at = framesAt;
  let index = 1;
  for (const { offset, timeMs, frame } of records) {
    headers[index++] = offset;
    headers[index++] = timeMs;
    headers[index++] = frame.end - frame.start;
    at += frame.block.copy(packed, at, frame.start, frame.end);
  }
  return packed.buffer;
}

/** Returns the publications that `packRecords` packed. Their frames lie in the memory of the batch. */
export function unpackRecords(packed: ArrayBuffer): StreamRecord[] {
  const block = Buffer.from(packed);
  const count = new Float64Array(packed, 0, 1)[0] as number;
  const headers = new Float64Array(packed, 8, count * (PACKED_HEADER_BYTES / 8));
  const records: StreamRecord[] = [];
  let start = 8 + headers.byteLength;
  for (let index = 0; index < headers.length; index += 3) {
    const [offset, timeMs, length] = [headers[index], headers[index + 1], headers[index + 2]] as [
      number,
      number,
      number,
    ];
    const end = start + length;
    records.push({ offset, timeMs, frame: { block, start, end } });
    start = end;
  }
  return records;
}
