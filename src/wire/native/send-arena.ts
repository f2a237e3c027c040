/** The memory from which the kernel sends. The bytes of a turn are copied here, one connection behind the other. */
import type { Mapping } from "./memory.ts";
import type { LentBuffer } from "./receive-buffers.ts";

/** Bytes that may leave in one turn. What is more waits for the next turn. */
const HALF_BYTES = 8 * 1024 * 1024;
/** Bytes of the arena. */
export const SEND_BYTES = 2 * HALF_BYTES;

/**
 * The begin of the ring's memory, before the receive buffers, of which bytes may leave as well.
 *
 * Two halves that take turns: while the sends of one half are completed, and perhaps only in part, new bytes go to the
 * other. A send has taken its bytes when `io_uring_enter` returns, because it never waits (MSG_DONTWAIT).
 */
export class SendArena {
  readonly mapping: Mapping;
  readonly #bytes: Buffer;
  /** Buffers of which bytes leave in this turn, and those of the last turn. */
  #lent: LentBuffer[] = [];
  #sentLent: LentBuffer[] = [];
  /** Begin of the half in use, and the first free byte in it. */
  #begin = 0;
  #end = 0;
  /** The bytes that were copied last, and their place: a fan-out sends the same bytes to many connections. */
  #last: Buffer | undefined;
  #lastAt = 0;

  /** @param mapping memory that begins with `SEND_BYTES` for the arena, before the receive buffers */
  constructor(mapping: Mapping) {
    this.mapping = mapping;
    this.#bytes = Buffer.from(mapping.buffer);
  }

  /** Number of bytes that still fit into this turn. */
  get room(): number {
    return this.#begin + HALF_BYTES - this.#end;
  }

  /** Returns the place of a copy of the bytes, which must fit. The same bytes have one copy per turn. */
  place(bytes: Buffer): number {
    if (bytes === this.#last) return this.#lastAt;
    const at = this.#end;
    this.#bytes.set(bytes, at);
    this.#end = at + bytes.length;
    this.#last = bytes;
    this.#lastAt = at;
    return at;
  }

  /** Returns the place of bytes of a lent buffer, which is held until they have left. */
  placeOfLent(bytes: Buffer, lent: LentBuffer): number {
    lent.hold();
    this.#lent.push(lent);
    return lent.offset + bytes.byteOffset;
  }

  /** True if bytes of lent buffers leave in this turn. */
  get hasLent(): boolean {
    return this.#lent.length > 0;
  }

  /** Gives back the lent buffers of the last turns. Their sends, and those that stopped, have been dealt with. */
  releaseLent(): void {
    if (this.#sentLent.length === 0) return;
    for (const lent of this.#sentLent) lent.release();
    this.#sentLent = [];
  }

  /**
   * Returns the place of a copy of two pieces, one behind the other. `first` lies in this half, or in a lent buffer.
   */
  placeBehind(first: number, length: number, bytes: Buffer): number {
    this.#last = undefined;
    let at = first;
    if (first + length !== this.#end) {
      at = this.#end;
      this.#bytes.copyWithin(at, first, first + length);
      this.#end = at + length;
    }
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
    return at;
  }

  /** Returns the bytes of a place, valid until the turn after the next. */
  bytesAt(at: number, length: number): Buffer {
    return this.#bytes.subarray(at, at + length);
  }

  /** Begins the next turn, with the other half. */
  flip(): void {
    if (this.#lent.length > 0) {
      this.#sentLent.push(...this.#lent);
      this.#lent = [];
    }
    this.#begin = HALF_BYTES - this.#begin;
    this.#end = this.#begin;
    this.#last = undefined;
  }
}
