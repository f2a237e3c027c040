/** Validates UTF-8 that arrives in pieces, for texts over several frames or reads. */
import { isUtf8 } from "node:buffer";

/** A validator in the middle of a text, as plain data. */
export interface Utf8State {
  /** Number of continuation bytes that the last character still lacks. */
  readonly missing: number;
  /** Range of the next continuation byte. */
  readonly low: number;
  readonly high: number;
}

/**
 * An incremental UTF-8 validator. It fails at the first byte that can't continue a valid text, wherever the text was
 * cut. Source: the well-formed sequences of Unicode table 3-7, as RFC 6455 section 8.1 demands.
 *
 * Node's vectorised `isUtf8` checks whole sequences. This code walks only a sequence that straddles two pieces.
 */
export class Utf8Validator {
  /** Number of continuation bytes that the sequence at the end of the last piece still lacks. */
  #missing = 0;
  /** Range of the next continuation byte: 80 to BF, and less after E0, ED, F0 and F4. */
  #low = 0x80;
  #high = 0xbf;

  /** True between two characters, where a text may end. */
  get complete(): boolean {
    return this.#missing === 0;
  }

  /** Takes the state out, for `load` of another validator. */
  save(): Utf8State {
    return { missing: this.#missing, low: this.#low, high: this.#high };
  }

  /** Goes on where another validator was saved. */
  load({ missing, low, high }: Utf8State): void {
    this.#missing = missing;
    this.#low = low;
    this.#high = high;
  }

  /** Starts a new text. */
  reset(): void {
    this.#missing = 0;
  }

  /** Checks the next piece, `bytes[start, end)`. Returns false when the text can no longer become valid. */
  push(bytes: Buffer, start: number, end: number): boolean {
    let at = start;
    while (this.#missing > 0 && at < end) {
      if (!this.#continue(bytes[at++] as number)) return false;
    }
    const boundary = lastBoundary(bytes, at, end);
    if (boundary > at && !isUtf8(bytes.subarray(at, boundary))) return false;
    for (at = boundary; at < end; at++) {
      const byte = bytes[at] as number;
      if (this.#missing > 0 ? !this.#continue(byte) : !this.#lead(byte)) return false;
    }
    return true;
  }

  #lead(byte: number): boolean {
    this.#low = byte === 0xe0 ? 0xa0 : byte === 0xf0 ? 0x90 : 0x80;
    this.#high = byte === 0xed ? 0x9f : byte === 0xf4 ? 0x8f : 0xbf;
    if (byte < 0x80) this.#missing = 0;
    else if (byte >= 0xc2 && byte <= 0xdf) this.#missing = 1;
    else if (byte >= 0xe0 && byte <= 0xef) this.#missing = 2;
    else if (byte >= 0xf0 && byte <= 0xf4) this.#missing = 3;
    else return false;
    return true;
  }

  #continue(byte: number): boolean {
    if (byte < this.#low || byte > this.#high) return false;
    this.#low = 0x80;
    this.#high = 0xbf;
    this.#missing--;
    return true;
  }
}

/** Returns the offset at which the last sequence of `bytes[start, end)` begins if it is cut short, else `end`. */
function lastBoundary(bytes: Buffer, start: number, end: number): number {
  for (let back = 1; back <= 3 && end - back >= start; back++) {
    const byte = bytes[end - back] as number;
    if (byte < 0x80) return end;
    if (byte >= 0xc0) {
      const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return length > back ? end - back : end;
    }
  }
  return end;
}
