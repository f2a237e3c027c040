/** The queue of frames for a peer that doesn't read. `Outbound` has one while it is behind. */
import { EMPTY } from "../../../wire/protocol/empty.ts";

/**
 * Frames that wait for a peer that doesn't read, first in, first out. A piece holds whole frames, and all connections
 * that wait for the same piece share the memory. A frame that was taken is on its way and can't be dropped any more.
 */
export class Backlog {
  #pieces: Buffer[] = [];
  #head = 0;
  /** Number of bytes of the first piece that were dropped. */
  #skipped = 0;
  /** Number of pieces removed from the array so far. A place minus this number is an index. */
  #gone = 0;
  /** Place of the one waiting frame of each topic. A place before the first piece is out of date. */
  #places: Map<string, number> | undefined;
  #bytes = 0;
  /** Places of pieces that are never dropped. */
  #kept: Set<number> | undefined;
  /** Every piece before this place is kept, or gone. */
  #droppableFrom = 0;

  /** Number of waiting bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Number of waiting pieces. */
  get length(): number {
    return this.#pieces.length - this.#head;
  }

  /**
   * Adds a piece at the end.
   *
   * @param piece whole frames, none of them control frames
   * @param isKept true if none of the frames may be dropped
   */
  add(piece: Buffer, isKept = false): void {
    if (isKept) {
      this.#kept ??= new Set();
      this.#kept.add(this.#gone + this.#pieces.length);
    }
    this.#pieces.push(piece);
    this.#bytes += piece.length;
  }

  /** Returns the bytes of the frame that `conflate` would replace; undefined if no frame of the topic waits. */
  waitingOf(topic: string): number | undefined {
    const index = this.#indexOf(topic);
    return index === undefined ? undefined : this.#pieces[index]?.length;
  }

  /**
   * Replaces the waiting frame of the topic, else adds the frame at the end. The new frame takes the old place: a topic
   * that moved to the end with each publish would never reach the front.
   */
  conflate(topic: string, frame: Buffer): void {
    const index = this.#indexOf(topic);
    if (index === undefined) {
      this.#places ??= new Map();
      this.#places.set(topic, this.#gone + this.#pieces.length);
      this.add(frame);
      return;
    }
    this.#bytes += frame.length - (this.#pieces[index] as Buffer).length;
    this.#pieces[index] = frame;
  }

  /** Drops the frame that has waited longest of those that may be dropped. Returns false if there is none. */
  dropOldest(): boolean {
    const index = this.#oldestDroppable();
    if (index === undefined) return false;
    const piece = this.#pieces[index] as Buffer;
    const start = index === this.#head ? this.#skipped : 0;
    const frame = frameBytes(piece, start);
    this.#bytes -= frame;
    if (index === this.#head) {
      this.#skipped += frame;
      if (this.#skipped === piece.length) this.#advance(1);
    } else {
      // An empty piece takes the place of a dropped one in the middle, and is skipped like a kept one.
      this.#pieces[index] = piece.subarray(frame);
      if (frame === piece.length) this.#kept?.add(this.#gone + index);
    }
    return true;
  }

  #oldestDroppable(): number | undefined {
    if (this.#kept === undefined) return this.length === 0 ? undefined : this.#head;
    let place = Math.max(this.#droppableFrom, this.#gone + this.#head);
    while (this.#kept.has(place)) place++;
    this.#droppableFrom = place;
    const index = place - this.#gone;
    return index < this.#pieces.length ? index : undefined;
  }

  /** Takes pieces of `maxBytes` together at most from the front, but at least one piece, however large. */
  take(maxBytes: number): Buffer {
    let bytes = (this.#pieces[this.#head] as Buffer).length - this.#skipped;
    let count = 1;
    for (; count < this.length; count++) {
      const { length } = this.#pieces[this.#head + count] as Buffer;
      if (bytes + length > maxBytes) break;
      bytes += length;
    }
    const taken = this.#pieces.slice(this.#head, this.#head + count);
    if (this.#skipped > 0) taken[0] = (taken[0] as Buffer).subarray(this.#skipped);
    this.#advance(count);
    this.#bytes -= bytes;
    return count === 1 ? (taken[0] as Buffer) : Buffer.concat(taken, bytes);
  }

  #advance(count: number): void {
    for (const end = this.#head + count; this.#head < end || this.#pieces[this.#head]?.length === 0; this.#head++) {
      this.#pieces[this.#head] = EMPTY;
      this.#kept?.delete(this.#gone + this.#head);
    }
    this.#skipped = 0;
    // The array is cut only when removed pieces are half of it.
    if (this.#head * 2 < this.#pieces.length) return;
    this.#pieces = this.#pieces.slice(this.#head);
    this.#gone += this.#head;
    this.#head = 0;
  }

  #indexOf(topic: string): number | undefined {
    const place = this.#places?.get(topic);
    return place === undefined || place < this.#gone + this.#head ? undefined : place - this.#gone;
  }
}

/** Bytes of the whole unmasked frame that begins at `start`. Source: RFC 6455 section 5.2. */
function frameBytes(bytes: Buffer, start: number): number {
  const length = bytes[start + 1] as number;
  if (length < 126) return 2 + length;
  if (length === 126) return 4 + bytes.readUInt16BE(start + 2);
  return 10 + bytes.readUInt32BE(start + 2) * 0x1_0000_0000 + bytes.readUInt32BE(start + 6);
}
