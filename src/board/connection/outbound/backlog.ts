/** The queue of frames for a peer that doesn't read. `Outbound` has one while it is behind. */
import { EMPTY } from "../../../wire/protocol/empty.ts";

interface Piece {
  /** Whole frames; empty once they were taken or dropped. */
  bytes: Buffer;
  /** True if the frames are never dropped, only replaced. */
  readonly isKept: boolean;
}

/** Frames of a backlog, as plain data. */
export interface BacklogPiece {
  /** Whole frames. */
  readonly bytes: Uint8Array;
  readonly isKept: boolean;
  /** Topic whose newer frame may replace this one. */
  readonly topic: string | undefined;
}

/**
 * Frames that wait for a peer that doesn't read, first in, first out. A piece holds whole frames, and all connections
 * that wait for the same piece share the memory. A frame that was taken is on its way and can't be dropped any more.
 */
export class Backlog {
  /** The pieces, the first one at `#head`, which is never empty. Dropped ones are empty until the array is cut. */
  #pieces: Piece[] = [];
  #head = 0;
  /** Number of bytes of the first piece that were dropped. */
  #skipped = 0;
  /** Number of empty pieces behind the first. */
  #dropped = 0;
  /** The piece with the one waiting frame of each topic. An empty piece is out of date. */
  #places: Map<string, Piece> | undefined;
  #bytes = 0;
  /** Index before which no piece can be dropped. */
  #droppableFrom = 0;

  /** Number of waiting bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Number of waiting pieces. */
  get length(): number {
    return this.#pieces.length - this.#head - this.#dropped;
  }

  /**
   * Adds a piece at the end.
   *
   * @param bytes whole frames, none of them control frames
   * @param isKept true if none of the frames may be dropped
   */
  add(bytes: Buffer, isKept = false): void {
    this.#add({ bytes, isKept });
  }

  #add(piece: Piece): void {
    this.#pieces.push(piece);
    this.#bytes += piece.bytes.length;
  }

  /** Returns the bytes of the frame that `conflate` would replace; undefined if no frame of the topic waits. */
  waitingOf(topic: string): number | undefined {
    return this.#pieceOf(topic)?.bytes.length;
  }

  /**
   * Replaces the waiting frame of the topic, else adds the frame at the end. The new frame takes the old place: a topic
   * that moved to the end with each publish would never reach the front.
   *
   * @param isKept true if the frame may be replaced, but not dropped
   */
  conflate(topic: string, frame: Buffer, isKept = false): void {
    const waiting = this.#pieceOf(topic);
    if (waiting === undefined) {
      const piece: Piece = { bytes: frame, isKept };
      this.#places ??= new Map();
      this.#places.set(topic, piece);
      this.#add(piece);
      return;
    }
    this.#bytes += frame.length - waiting.bytes.length;
    waiting.bytes = frame;
  }

  #pieceOf(topic: string): Piece | undefined {
    const piece = this.#places?.get(topic);
    return piece === undefined || piece.bytes.length === 0 ? undefined : piece;
  }

  /** Returns all pieces, for `load`. The backlog is of no use afterwards. */
  save(): BacklogPiece[] {
    const topics = new Map(Array.from(this.#places ?? [], ([topic, piece]) => [piece, topic]));
    const pieces = this.#pieces.slice(this.#head).flatMap((piece, index) => {
      const { bytes, isKept } = piece;
      if (bytes.length === 0) return [];
      return [{ bytes: index === 0 ? bytes.subarray(this.#skipped) : bytes, isKept, topic: topics.get(piece) }];
    });
    return pieces;
  }

  /** Adds pieces that were saved. */
  load(pieces: readonly BacklogPiece[]): void {
    for (const { bytes: view, isKept, topic } of pieces) {
      const bytes = Buffer.from(view.buffer, view.byteOffset, view.byteLength);
      if (topic === undefined) this.add(bytes, isKept);
      else this.conflate(topic, bytes, isKept);
    }
  }

  /** Drops the frame that has waited longest of those that may be dropped. Returns false if there is none. */
  dropOldest(): boolean {
    const index = this.#oldestDroppable();
    const piece = this.#pieces[index];
    if (piece === undefined) return false;
    const isFirst = index === this.#head;
    const start = isFirst ? this.#skipped : 0;
    const frame = frameBytes(piece.bytes, start);
    this.#bytes -= frame;
    if (start + frame === piece.bytes.length) this.#drop(piece, isFirst);
    else if (isFirst) this.#skipped += frame;
    else piece.bytes = piece.bytes.subarray(frame);
    return true;
  }

  #oldestDroppable(): number {
    let index = Math.max(this.#droppableFrom, this.#head);
    for (let piece = this.#pieces[index]; piece?.isKept || piece?.bytes.length === 0; piece = this.#pieces[index])
      index++;
    this.#droppableFrom = index;
    return index;
  }

  #drop(piece: Piece, isFirst: boolean): void {
    if (isFirst) {
      this.#advance(1);
      return;
    }
    piece.bytes = EMPTY;
    this.#dropped++;
    // The array is cut only when dropped pieces are half of it.
    if (this.#dropped > this.length) this.#cut();
  }

  /** Takes pieces of `maxBytes` together at most from the front, but at least one piece, however large. */
  take(maxBytes: number): Buffer {
    const taken: Buffer[] = [];
    let bytes = 0;
    let count = 0;
    for (let index = this.#head; index < this.#pieces.length; index++) {
      let piece = (this.#pieces[index] as Piece).bytes;
      if (count === 0 && this.#skipped > 0) piece = piece.subarray(this.#skipped);
      if (count > 0 && bytes + piece.length > maxBytes) break;
      bytes += piece.length;
      count++;
      if (piece.length > 0) taken.push(piece);
    }
    this.#advance(count);
    this.#bytes -= bytes;
    return taken.length === 1 ? (taken[0] as Buffer) : Buffer.concat(taken, bytes);
  }

  /** Removes `count` pieces from the front, and the empty ones behind them. */
  #advance(count: number): void {
    for (const end = this.#head + count; this.#head < this.#pieces.length; this.#head++) {
      const piece = this.#pieces[this.#head] as Piece;
      if (this.#head >= end && piece.bytes.length > 0) break;
      if (piece.bytes.length === 0) this.#dropped--;
      piece.bytes = EMPTY;
    }
    this.#skipped = 0;
    // The array is cut only when removed pieces are half of it.
    if (this.#head * 2 >= this.#pieces.length) this.#cut();
  }

  #cut(): void {
    this.#pieces = this.#pieces.slice(this.#head).filter(({ bytes }) => bytes.length > 0);
    this.#head = 0;
    this.#dropped = 0;
    this.#droppableFrom = 0;
  }
}

/** Bytes of the whole unmasked frame that begins at `start`. Source: RFC 6455 section 5.2. */
function frameBytes(bytes: Buffer, start: number): number {
  const length = bytes[start + 1] as number;
  if (length < 126) return 2 + length;
  if (length === 126) return 4 + bytes.readUInt16BE(start + 2);
  return 10 + bytes.readUInt32BE(start + 2) * 0x1_0000_0000 + bytes.readUInt32BE(start + 6);
}
