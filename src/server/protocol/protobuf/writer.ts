/**
 * Writes the wire format of Protobuf. The encoders of replies, pushes and stored publications use it.
 *
 * Source: https://protobuf.dev/programming-guides/encoding/
 */

import { wholeNumber } from "../whole-number.ts";

/** Size of the memory that a writer keeps between messages, in bytes. */
const KEPT_BYTES = 16 * 1024;

/**
 * A writer that fills its memory from the end to the start. The length of a message stands before the message and is
 * known after it: written backwards, neither has a length to be counted in advance nor a message to be moved. Callers
 * therefore write the fields with the highest number first, and the last element of a list first.
 *
 * Zero values are left out.
 */
export class ProtobufWriter {
  #memory = Buffer.allocUnsafeSlow(KEPT_BYTES);
  /** The memory is written from here to its end. */
  #start = KEPT_BYTES;

  /** Number of bytes that have been written. `endMessage` takes this number from the time before the message. */
  get written(): number {
    return this.#memory.length - this.#start;
  }

  /** Returns a copy of everything that has been written, and starts anew. */
  finish(): Buffer {
    const result = Buffer.from(this.#memory.subarray(this.#start));
    if (this.#memory.length > KEPT_BYTES) this.#memory = Buffer.allocUnsafeSlow(KEPT_BYTES);
    this.#start = this.#memory.length;
    return result;
  }

  /** Writes an unsigned varint of at most 2^53-1. */
  varint(value: number): void {
    if (value < 0x80) {
      this.#reserve(1);
      this.#memory[this.#start] = value;
      return;
    }
    this.#reserve(varintBytes(value));
    writeVarint(this.#memory, this.#start, value);
  }

  number(field: number, value: number | undefined): void {
    const whole = value === undefined ? 0 : wholeNumber(value);
    if (whole === 0) return;
    this.varint(whole);
    this.varint(field << 3);
  }

  flag(field: number, value: boolean | undefined): void {
    if (value === true) this.number(field, 1);
  }

  text(field: number, value: string | undefined): void {
    if (value !== undefined && value !== "") this.textOrEmpty(field, value);
  }

  /** Writes text even if it is empty, as keys and values of maps are. */
  textOrEmpty(field: number, value: string): void {
    const length = Buffer.byteLength(value);
    this.#reserve(length);
    this.#memory.write(value, this.#start);
    this.#prefix(field, length);
  }

  bytes(field: number, value: Buffer | undefined): void {
    if (value === undefined || value.length === 0) return;
    this.#reserve(value.length);
    this.#memory.set(value, this.#start);
    this.#prefix(field, value.length);
  }

  /** Ends the message of a field, all of which has been written since `written` had the given value. */
  endMessage(field: number, before: number): void {
    this.#prefix(field, this.written - before);
  }

  #prefix(field: number, length: number): void {
    this.varint(length);
    this.varint((field << 3) | 2);
  }

  #reserve(bytes: number): void {
    if (bytes > this.#start) {
      const written = this.written;
      const memory = Buffer.allocUnsafeSlow(Math.max(this.#memory.length * 2, written + bytes));
      this.#memory.copy(memory, memory.length - written, this.#start);
      this.#memory = memory;
      this.#start = memory.length - written;
    }
    this.#start -= bytes;
  }
}

/** Length of an unsigned varint in bytes. */
export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}

/** Writes an unsigned varint of at most 2^53-1. Returns the offset after it. */
export function writeVarint(memory: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 0x80) {
    memory[at++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  memory[at++] = rest;
  return at;
}
