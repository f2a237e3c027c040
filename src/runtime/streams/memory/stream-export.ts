/** The streams of a memory engine as pieces for another process. `MemoryTransfer` has one for each takeover. */
import { allocateOwn } from "../../../wire/protocol/allocator.ts";
import type { LeftBehind } from "../takeover.ts";
import type { Stream, StreamCopy } from "./stream.ts";
import type { LogRun } from "./stream-log.ts";
import type { StreamStore } from "./stream-store.ts";

/** A `LogRun` whose bytes lie in those of its piece. */
interface RunCopy {
  readonly offset: number;
  readonly timeMs: number;
  readonly start: number;
  readonly end: number;
}

interface GivenCopy extends StreamCopy {
  readonly runs: readonly RunCopy[];
}

/** Streams, or parts of them, with the bytes of their publications. */
export interface StreamPiece {
  readonly streams: readonly GivenCopy[];
  readonly bytes: Uint8Array;
}

/** Bytes of a piece. Only a single publication may be larger. */
const MAX_PIECE_BYTES = 1024 * 1024;
/** Bytes that a stream without its publications counts for. */
const STREAM_BYTES = 128;
/** Number of streams without anything to give that one piece looks at. */
const MAX_VISITED = 20_000;
/** Bytes of publications that have come since the round before and go along: the last round stops everybody. */
const MAX_CHANGED_BYTES = 64 * 1024 * 1024;

export class StreamExport {
  readonly #store: StreamStore;
  readonly #clock: () => number;
  readonly #maxBytes: number;
  /** Bytes of publications that may still go in this round. */
  #roomBytes = 0;
  readonly #left: LeftBehind = { topics: 0, publications: 0 };
  /** Streams of the next piece so far. */
  #copies: GivenCopy[] = [];
  #runs: LogRun[] = [];
  #runBytes = 0;

  /** @param maxBytes bytes of publications that go in the first round at most, the newest first */
  constructor(store: StreamStore, clock: () => number, maxBytes: number) {
    this.#store = store;
    this.#clock = clock;
    this.#maxBytes = maxBytes;
    store.noteChanges(true);
  }

  /** Gives all streams: first those with publications, of these the one first that was published to last. */
  *all(): Generator<StreamPiece> {
    this.#roomBytes = this.#maxBytes;
    for (const stream of this.#store.filled()) yield* this.#give(stream, false);
    let visited = 0;
    for (const stream of this.#store.all()) {
      if (stream.given?.by !== this) yield* this.#give(stream, false);
      else if (++visited % MAX_VISITED === 0) yield this.#take();
    }
    yield this.#take();
  }

  /** Gives the streams that have changed since they were given. */
  *changes(): Generator<StreamPiece> {
    this.#roomBytes = MAX_CHANGED_BYTES;
    for (const stream of this.#store.takeChanged()) {
      if (this.#store.has(stream)) yield* this.#give(stream, true);
    }
    if (this.#copies.length > 0) yield this.#take();
  }

  /** Notes no more changes. Returns what stayed behind. */
  end(): Readonly<LeftBehind> {
    this.#store.noteChanges(false);
    return this.#left;
  }

  /** Adds a stream to the pieces: what the other process hasn't got. */
  *#give(stream: Stream, isRecent: boolean): Generator<StreamPiece> {
    if (stream.given?.by !== this) stream.given = { by: this, offset: 0, leftOffset: 0 };
    const { log, given } = stream;
    do {
      const { runs, last } = log.copyAfter(given.offset, MAX_PIECE_BYTES - this.#pieceBytes);
      for (const { bytes } of runs) this.#roomBytes -= bytes.length;
      const fits = runs.length === 0 || this.#roomBytes >= 0;
      if (!fits) {
        this.#left.topics++;
        this.#left.publications += log.top - Math.max(given.leftOffset, log.first - 1);
        given.leftOffset = log.top;
      }
      given.offset = fits ? last : log.top;
      this.#add(stream, fits ? runs : [], isRecent);
      if (this.#pieceBytes >= MAX_PIECE_BYTES || given.offset < log.top) yield this.#take();
    } while (given.offset < log.top);
  }

  #add(stream: Stream, runs: readonly LogRun[], isRecent: boolean): void {
    const { topic, epoch, log, listExpiresAtMs, metaExpiresAtMs, metaTtlMs, given } = stream;
    const nowMs = this.#clock();
    const next = (given?.offset ?? 0) + 1;
    const copies = runs.map(({ offset, timeMs, bytes }): RunCopy => {
      const start = this.#runBytes;
      this.#runBytes += bytes.length;
      return { offset, timeMs, start, end: this.#runBytes };
    });
    this.#runs.push(...runs);
    this.#copies.push({
      topic,
      epoch,
      first: Math.min(next, Math.max(log.first, (given?.leftOffset ?? 0) + 1)),
      next,
      listMs: listExpiresAtMs - nowMs,
      metaMs: metaExpiresAtMs - nowMs,
      metaTtlMs,
      isRecent,
      runs: copies,
    });
  }

  get #pieceBytes(): number {
    return this.#runBytes + this.#copies.length * STREAM_BYTES;
  }

  #take(): StreamPiece {
    const bytes = allocateOwn(this.#runBytes);
    let at = 0;
    for (const run of this.#runs) at += run.bytes.copy(bytes, at);
    const piece = { streams: this.#copies, bytes };
    this.#copies = [];
    this.#runs = [];
    this.#runBytes = 0;
    return piece;
  }
}

/** Puts the streams of a piece into a store. */
export function putStreams(store: StreamStore, { streams, bytes }: StreamPiece, shiftMs: number, nowMs: number): void {
  const block = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const { runs, ...copy } of streams) {
    const whole = runs.map(({ offset, timeMs, start, end }) => ({ offset, timeMs, bytes: block.subarray(start, end) }));
    store.put(copy, whole, shiftMs, nowMs);
  }
}
