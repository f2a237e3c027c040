/** The memory from which the kernel sends. The bytes of a turn are copied here, one connection behind the other. */
import { type Mapping, mapMemory } from "./memory.ts";

/** Bytes that may leave in one turn. What is more waits for the next turn. */
const HALF_BYTES = 8 * 1024 * 1024;

/**
 * Two halves that take turns: while the sends of one half are completed, and perhaps only in part, new bytes go to the
 * other. A send has taken its bytes when `io_uring_enter` returns, because it never waits (MSG_DONTWAIT).
 */
export class SendArena {
  readonly mapping: Mapping;
  readonly #bytes: Buffer;
  /** Begin of the half in use, and the first free byte in it. */
  #begin = 0;
  #end = 0;
  /** The bytes that were copied last, and their place: a fan-out sends the same bytes to many connections. */
  #last: Buffer | undefined;
  #lastAt = 0;

  constructor(listed: { ownMapping(mapping: Mapping): void }) {
    this.mapping = mapMemory(2 * HALF_BYTES);
    listed.ownMapping(this.mapping);
    this.#bytes = Buffer.from(this.mapping.buffer);
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

  /** Returns the place of a copy of two pieces, one behind the other. `first` lies in this half. */
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
    this.#begin = HALF_BYTES - this.#begin;
    this.#end = this.#begin;
    this.#last = undefined;
  }
}
