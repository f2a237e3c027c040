/**
 * Reads the wire format of Protobuf. The decoders of commands and of stored publications use it.
 *
 * Source: https://protobuf.dev/programming-guides/encoding/
 */
import { isUtf8 } from "node:buffer";
import { MAX_OFFSET } from "../limits.ts";

/** The types of values on the wire. Groups (3 and 4) are obsolete, and malformed here. */
const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/**
 * A reader at a position in a buffer. After malformed bytes `failed` is true, all reads give zero values, and `more` is
 * false: the caller looks at `failed` once, at the end.
 */
export class ProtobufReader {
  readonly #bytes: Buffer;
  #at = 0;
  #failed = false;
  /** Wire type of the field whose number was read last. */
  #wireType = 0;
  /** The varint that was read last, as two unsigned halves of 32 bits. */
  #low = 0;
  #high = 0;

  constructor(bytes: Buffer, start = 0) {
    this.#bytes = bytes;
    this.#at = start;
  }

  get failed(): boolean {
    return this.#failed;
  }

  get position(): number {
    return this.#at;
  }

  /** Goes on at an offset that `message` or `position` gave. */
  moveTo(offset: number): void {
    this.#at = offset;
  }

  /** Marks the bytes as malformed. */
  fail(): void {
    this.#failed = true;
    this.#low = 0;
    this.#high = 0;
  }

  /** Says whether something is left before `end`. */
  more(end: number): boolean {
    if (this.#at > end) this.fail();
    return this.#at < end && !this.#failed;
  }

  /** Reads the number of the next field. */
  field(): number {
    this.#readVarint();
    this.#wireType = this.#low & 7;
    const number = this.#low >>> 3;
    if (number === 0 || this.#high !== 0) this.fail();
    return this.#failed ? 0 : number;
  }

  /** Skips the value of a field that the caller doesn't know. */
  skip(end: number): void {
    if (this.#wireType === WIRE.varint) this.#readVarint();
    else if (this.#wireType === WIRE.bytes) this.#at = this.length(end);
    else if (this.#wireType === WIRE.fixed64) this.#at += 8;
    else if (this.#wireType === WIRE.fixed32) this.#at += 4;
    else this.fail();
  }

  /** Reads a length. Returns the offset at which the value ends, `end` at most. */
  length(end: number): number {
    this.#readVarint();
    if (this.#high !== 0 || this.#low > end - this.#at) this.fail();
    return this.#failed ? this.#at : this.#at + this.#low;
  }

  /** Enters the message that is the value of the field. Returns the offset at which the message ends. */
  message(end: number): number {
    this.#expect(WIRE.bytes);
    return this.length(end);
  }

  flag(): boolean {
    this.#expect(WIRE.varint);
    this.#readVarint();
    return this.#low !== 0 || this.#high !== 0;
  }

  /** Larger values lose their upper bits, as the format demands. */
  uint32(): number {
    this.#expect(WIRE.varint);
    this.#readVarint();
    return this.#low;
  }

  int32(): number {
    return this.uint32() | 0;
  }

  /** A value over 2^53-1 is read as 2^53-1. */
  offset(): number {
    this.#expect(WIRE.varint);
    this.#readVarint();
    return Math.min(this.#high * 0x1_0000_0000 + this.#low, MAX_OFFSET);
  }

  /** A value outside ±(2^53-1) is malformed. */
  int64(): number {
    this.#expect(WIRE.varint);
    this.#readVarint();
    const value = (this.#high | 0) * 0x1_0000_0000 + this.#low;
    if (Number.isSafeInteger(value)) return value;
    this.fail();
    return 0;
  }

  /** Text must be valid UTF-8. */
  text(end: number): string {
    const textEnd = this.message(end);
    const start = this.#at;
    if (this.#failed || textEnd === start) return "";
    this.#at = textEnd;
    const text = this.#bytes.toString("utf8", start, textEnd);
    // Invalid bytes would have become U+FFFD.
    if (text.includes("\ufffd") && !isUtf8(this.#bytes.subarray(start, textEnd))) this.fail();
    return text;
  }

  /** Returns a view of the bytes; undefined if there are none, which is the zero value. */
  bytes(end: number): Buffer | undefined {
    const bytesEnd = this.message(end);
    const start = this.#at;
    if (this.#failed || bytesEnd === start) return undefined;
    this.#at = bytesEnd;
    return this.#bytes.subarray(start, bytesEnd);
  }

  #expect(wireType: number): void {
    if (this.#wireType !== wireType) this.fail();
  }

  #readVarint(): void {
    const at = this.#at;
    // Most varints are one byte: tags, lengths, flags.
    if (at < this.#bytes.length && (this.#bytes[at] as number) < 0x80 && !this.#failed) {
      this.#low = this.#bytes[at] as number;
      this.#high = 0;
      this.#at = at + 1;
    } else this.#readLongVarint();
  }

  #readLongVarint(): void {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70 && this.#at < this.#bytes.length && !this.#failed; shift += 7) {
      const byte = this.#bytes[this.#at++] as number;
      const bits = byte & 0x7f;
      if (shift < 32) low |= bits << shift;
      if (shift === 28) high = bits >>> 4;
      else if (shift > 28) high |= bits << (shift - 32);
      if (byte < 0x80) {
        this.#low = low >>> 0;
        this.#high = high >>> 0;
        return;
      }
    }
    this.fail();
  }
}
