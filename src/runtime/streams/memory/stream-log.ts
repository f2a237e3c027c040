/** The publications of one stream, packed into chunks of bytes. `StreamStore` holds one log for each stream. */
import { allocateOwn } from "../../../wire/protocol/allocator.ts";
import type { Frame } from "../../../wire/protocol/frame.ts";
import type { HistoryRange } from "../engine.ts";
import type { StreamRecord } from "../publication.ts";

/**
 * Bytes before each frame in a chunk, three unsigned 32-bit integers: the length of the frame in bytes; the time of the
 * publication, in ms after the chunk's time; the time until the publication expires, in ms, 0 for never.
 */
const RECORD_HEADER_BYTES = 12;
const MIN_CHUNK_BYTES = 512;
const MAX_CHUNK_BYTES = 16 * 1024;
/** Part of its stream's memory that a new chunk takes: small streams get small chunks. */
const CHUNK_SHARE = 1 / 4;
const MAX_UINT32 = 2 ** 32 - 1;

/**
 * Records of one stream, one after the other. A chunk is only appended to, and dropped as a whole: a frame that was
 * read from a chunk never changes, and keeps the memory of its chunk.
 */
interface Chunk {
  readonly block: Buffer;
  readonly firstOffset: number;
  /** Time of the first record, in ms since 1970. */
  readonly timeMs: number;
  /** Time at which the last living record expires, in ms since 1970; infinite if one of the records never expires. */
  expiresAtMs: number;
  /** Number of bytes that hold records. */
  used: number;
}

/** Records that lie one after the other in a chunk, for another log: see `paste`. */
export interface LogRun {
  /** Offset of the first record. */
  readonly offset: number;
  /** Time to which the times of the records are relative, in ms since 1970. */
  readonly timeMs: number;
  /** The records with their headers. */
  readonly bytes: Buffer;
}

/**
 * Offsets in a log follow each other without a gap. An expired record stays in its chunk until the chunk goes, but no
 * read returns the record.
 */
export class StreamLog {
  #chunks: Chunk[] = [];
  /** Offset of the oldest record that is kept. */
  #first: number;
  /** Offset of the record that comes next. */
  #next: number;
  /**
   * Offset of the first record of the second chunk, infinite if there is none: the oldest chunk goes when `#first` gets
   * there. A publish looks at this number instead of the chunk, which has left the processor's cache.
   */
  #secondChunk = Number.POSITIVE_INFINITY;
  #bytes = 0;

  constructor(nextOffset = 1) {
    this.#first = nextOffset;
    this.#next = nextOffset;
  }

  /** Offset of the oldest record that is kept; that of the next record if none is. */
  get first(): number {
    return this.#first;
  }

  /** Number of records that are kept, also of those that have expired. */
  get length(): number {
    return this.#next - this.#first;
  }

  /** Offset of the newest record that the log ever had; 0 before the first. */
  get top(): number {
    return this.#next - 1;
  }

  /** Memory of the chunks, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Copies a frame to the end of the log. `timeMs` must not be lower than in the call before.
   *
   * @param expiresMs time after which no read returns the record, in ms; undefined for never
   */
  append(frame: Frame, timeMs: number, expiresMs: number | undefined): void {
    const length = frame.end - frame.start;
    const needed = RECORD_HEADER_BYTES + length;
    let chunk = this.#chunks.at(-1);
    if (chunk === undefined || chunk.block.length - chunk.used < needed || timeMs - chunk.timeMs > MAX_UINT32) {
      chunk = this.#addChunk(needed, timeMs);
    }
    const { block, used } = chunk;
    const life = expiresMs === undefined ? 0 : Math.min(Math.max(1, expiresMs), MAX_UINT32);
    chunk.expiresAtMs = Math.max(chunk.expiresAtMs, life === 0 ? Number.POSITIVE_INFINITY : timeMs + life);
    block.writeUInt32LE(length, used);
    // The chunk may have begun with a record of another process, whose clock was a moment ahead.
    block.writeUInt32LE(Math.max(0, timeMs - chunk.timeMs), used + 4);
    block.writeUInt32LE(life, used + 8);
    frame.block.copy(block, used + RECORD_HEADER_BYTES, frame.start, frame.end);
    chunk.used = used + needed;
    this.#next++;
  }

  /** Returns the copy of the frame of `length` bytes that was appended last. */
  newest(length: number): Frame {
    const { block, used } = this.#chunks.at(-1) as Chunk;
    return { block, start: used - length, end: used };
  }

  /** Drops the oldest records, so that at most `size` are left. */
  trim(size: number): void {
    if (this.length <= size) return;
    this.#first = this.#next - size;
    while (this.#secondChunk <= this.#first) this.#dropChunk();
  }

  /** Drops the oldest chunk, with all its records. */
  dropOldestChunk(): void {
    this.#first = Math.max(this.#first, Math.min(this.#secondChunk, this.#next));
    this.#dropChunk();
  }

  /** Drops the oldest chunks while all their records have expired. */
  dropExpired(nowMs: number): void {
    while ((this.#chunks[0]?.expiresAtMs ?? Number.POSITIVE_INFINITY) <= nowMs) this.dropOldestChunk();
  }

  /** Drops all records. The next one gets the next offset. */
  clear(): void {
    while (this.#chunks.length > 0) this.#dropChunk();
    this.#first = this.#next;
  }

  /** Returns the records of a range that haven't expired. Their frames lie in the memory of the log. */
  read({ since, limit, reverse = false }: HistoryRange, nowMs: number): StreamRecord[] {
    return reverse
      ? this.#readBackward(Math.min(since ?? this.#next, this.#next), limit, nowMs)
      : this.#readForward(Math.max(since ?? 0, this.#first - 1) + 1, limit, nowMs);
  }

  /**
   * Returns the oldest records after `offset` as they lie in memory, also expired ones, and the offset of the last of
   * them: at most `maxBytes`, and at least one record if there is one. The bytes stay unchanged.
   */
  copyAfter(offset: number, maxBytes: number): { readonly runs: readonly LogRun[]; readonly last: number } {
    const runs: LogRun[] = [];
    let from = Math.max(offset + 1, this.#first);
    let left = maxBytes;
    let index = this.#chunks.findLastIndex(({ firstOffset }) => firstOffset <= from);
    for (; index >= 0 && index < this.#chunks.length && from < this.#next; index++) {
      const { block, firstOffset, timeMs, used } = this.#chunks[index] as Chunk;
      let start = 0;
      for (let skipped = firstOffset; skipped < from; skipped++) start += recordBytes(block, start);
      const first = from;
      let end = start;
      while (end < used) {
        const bytes = recordBytes(block, end);
        if (bytes > left && (runs.length > 0 || end > start)) break;
        left -= bytes;
        end += bytes;
        from++;
      }
      if (end > start) runs.push({ offset: first, timeMs, bytes: block.subarray(start, end) });
      if (end < used) break;
    }
    return { runs, last: from - 1 };
  }

  /**
   * Appends records of another log. A gap before them drops what the log has.
   *
   * @param shiftMs is added to the times of the records: this log's clock is that much ahead of the other's
   */
  paste({ offset, timeMs, bytes }: LogRun, shiftMs: number): void {
    if (offset !== this.#next) this.restart(offset);
    for (let at = 0; at < bytes.length; at += recordBytes(bytes, at)) {
      const start = at + RECORD_HEADER_BYTES;
      const frame = { block: bytes, start, end: start + bytes.readUInt32LE(at) };
      const life = bytes.readUInt32LE(at + 8);
      this.append(frame, timeMs + bytes.readUInt32LE(at + 4) + shiftMs, life === 0 ? undefined : life);
    }
  }

  /** Drops all records. The next one gets this offset. */
  restart(nextOffset: number): void {
    this.clear();
    this.#first = nextOffset;
    this.#next = nextOffset;
  }

  #readForward(from: number, limit: number, nowMs: number): StreamRecord[] {
    const records: StreamRecord[] = [];
    if (from >= this.#next) return records;
    let index = this.#chunks.findLastIndex(({ firstOffset }) => firstOffset <= from);
    for (; index < this.#chunks.length && records.length < limit; index++) {
      readChunk(this.#chunks[index] as Chunk, from, this.#next, nowMs, limit, records);
    }
    return records;
  }

  #readBackward(before: number, limit: number, nowMs: number): StreamRecord[] {
    const records: StreamRecord[] = [];
    let index = this.#chunks.findLastIndex(({ firstOffset }) => firstOffset < before);
    for (; index >= 0 && records.length < limit; index--) {
      const inChunk: StreamRecord[] = [];
      readChunk(this.#chunks[index] as Chunk, this.#first, before, nowMs, Number.POSITIVE_INFINITY, inChunk);
      for (const record of inChunk.reverse()) records.push(record);
    }
    if (records.length > limit) records.length = limit;
    return records;
  }

  #addChunk(needed: number, timeMs: number): Chunk {
    const share = Math.floor(this.#bytes * CHUNK_SHARE);
    const bytes = Math.max(needed, Math.min(Math.max(share, MIN_CHUNK_BYTES), MAX_CHUNK_BYTES));
    const chunk = { block: allocateOwn(bytes), firstOffset: this.#next, timeMs, expiresAtMs: 0, used: 0 };
    this.#chunks.push(chunk);
    if (this.#chunks.length === 2) this.#secondChunk = this.#next;
    this.#bytes += bytes;
    return chunk;
  }

  #dropChunk(): void {
    this.#bytes -= this.#chunks.shift()?.block.length ?? 0;
    this.#secondChunk = this.#chunks[1]?.firstOffset ?? Number.POSITIVE_INFINITY;
  }
}

/** Returns the bytes of the record at `at`, with its header. */
function recordBytes(block: Buffer, at: number): number {
  return RECORD_HEADER_BYTES + block.readUInt32LE(at);
}

/** Adds the living records of a chunk with offsets in `[from, before)` to `records`, until these are `limit`. */
function readChunk(
  chunk: Chunk,
  from: number,
  before: number,
  nowMs: number,
  limit: number,
  records: StreamRecord[],
): void {
  const { block } = chunk;
  let at = 0;
  for (let offset = chunk.firstOffset; at < chunk.used && offset < before && records.length < limit; offset++) {
    const start = at + RECORD_HEADER_BYTES;
    const end = start + block.readUInt32LE(at);
    if (offset >= from) {
      const timeMs = chunk.timeMs + block.readUInt32LE(at + 4);
      const life = block.readUInt32LE(at + 8);
      if (life === 0 || nowMs < timeMs + life) records.push({ offset, timeMs, frame: { block, start, end } });
    }
    at = end;
  }
}
