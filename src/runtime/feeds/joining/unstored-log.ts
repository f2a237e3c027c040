/**
 * Publications that aren't stored, in order, for subscriptions that get them later. A feed and its cursor have one
 * each.
 */
import type { StreamRecord } from "../../streams/publication.ts";

/** Number of publications that are kept. */
const MAX_RECORDS = 16_384;
/** Bytes of publications that are kept. One always fits, however large. */
const MAX_BYTES = 4 * 1024 * 1024;

/** A publication that isn't stored, and the offset of the stored one before it. */
export interface UnstoredPublication {
  readonly record: StreamRecord;
  readonly after: number;
}

/**
 * Numbers all publications, and keeps the newest. A reader remembers the number of the next publication that it is to
 * get.
 */
export class UnstoredLog {
  #kept: UnstoredPublication[] = [];
  #bytes = 0;
  /** Number of the next publication. */
  #next = 0;

  get next(): number {
    return this.#next;
  }

  /** Adds a publication. At the bounds the older half goes. */
  add(publication: UnstoredPublication): void {
    const bytes = bytesOf(publication);
    while (this.#kept.length >= MAX_RECORDS || (this.#kept.length > 0 && this.#bytes + bytes > MAX_BYTES)) {
      for (const gone of this.#kept.splice(0, Math.ceil(this.#kept.length / 2))) this.#bytes -= bytesOf(gone);
    }
    this.#kept.push(publication);
    this.#bytes += bytes;
    this.#next++;
  }

  /** Numbers a publication for which nobody waits. */
  pass(): void {
    this.#next++;
  }

  /** Forgets all that is kept. */
  clear(): void {
    if (this.#kept.length === 0) return;
    this.#kept = [];
    this.#bytes = 0;
  }

  /** Returns a publication by its number; undefined if that isn't kept, or comes later. */
  at(number: number): UnstoredPublication | undefined {
    return this.#kept[number - this.#first];
  }

  /** Returns how many publications, from a number on, aren't kept any more. */
  missedFrom(number: number): number {
    return Math.max(0, this.#first - number);
  }

  get #first(): number {
    return this.#next - this.#kept.length;
  }
}

function bytesOf({ record: { frame } }: UnstoredPublication): number {
  return frame.end - frame.start;
}
