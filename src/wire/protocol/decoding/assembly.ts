/** Collects the payload of one message that arrives in pieces. The decoder makes one for each such message. */

import { allocateOwn } from "../allocator.ts";
import { headerBytes, MAX_HEADER_BYTES, writeHeader } from "../frame.ts";
import { unmask } from "../masking/mask.ts";
import { Message } from "../message.ts";
import { Opcode } from "../opcode.ts";
import { type Utf8State, Utf8Validator } from "./utf8.ts";

/** A message in progress, as plain data. */
export interface AssemblyState {
  readonly opcode: Opcode;
  readonly compressed: boolean;
  /** Payload bytes that have arrived, unmasked. */
  readonly payload: Uint8Array;
  /** Number of frames that have begun. */
  readonly fragments: number;
  /** Set for an uncompressed text. */
  readonly text: Utf8State | undefined;
}

/** Memory that a message gets at first, in bytes, if its header says that it has as many. */
const INITIAL_BYTES = 128;

/**
 * A message that arrives in pieces: in fragments, or as one frame over several reads. Its memory grows with the bytes
 * that have arrived (to at most twice as many), never with the length that a header announces. The first
 * `MAX_HEADER_BYTES` of the memory stay free for the header of the finished message.
 */
export class Assembly {
  readonly opcode: Opcode;
  /** True when the payload must be inflated once it is complete. The text of such a message is checked after that. */
  readonly compressed: boolean;
  /** Checks an uncompressed text while it arrives; undefined for any other message. */
  readonly #validator: Utf8Validator | undefined;
  #block = Buffer.allocUnsafeSlow(0);
  /** Offset in `#block` after the last payload byte. */
  #end = MAX_HEADER_BYTES;
  /** Number of frames that have begun. */
  fragments = 1;

  constructor(opcode: Opcode, compressed = false) {
    this.opcode = opcode;
    this.compressed = compressed;
    this.#validator = opcode === Opcode.text && !compressed ? new Utf8Validator() : undefined;
  }

  /** Continues a message that another `Assembly` began. */
  static load({ opcode, compressed, payload, fragments, text }: AssemblyState): Assembly {
    const assembly = new Assembly(opcode, compressed);
    assembly.#reserve(payload.length, Number.POSITIVE_INFINITY);
    assembly.#block.set(payload, assembly.#end);
    assembly.#end += payload.length;
    assembly.fragments = fragments;
    if (text !== undefined) assembly.#validator?.load(text);
    return assembly;
  }

  /** Takes the message in progress out, for `load`. The payload is a view. */
  save(): AssemblyState {
    const { opcode, compressed, payload, fragments } = this;
    return { opcode, compressed, payload, fragments, text: this.#validator?.save() };
  }

  /** Bytes of payload that have arrived. */
  get payloadBytes(): number {
    return this.#end - MAX_HEADER_BYTES;
  }

  /**
   * Adds `length` masked bytes. Returns false when the text can no longer become valid.
   *
   * @param toCome bytes of the message that are still to come, these included; infinity if that is unknown
   */
  append(source: Buffer, from: number, length: number, toCome: number, key: number, phase: number): boolean {
    this.#reserve(length, toCome);
    const start = this.#end;
    this.#end += length;
    const ascii = unmask(source, from, this.#block, start, length, key, phase);
    const validator = this.#validator;
    if (validator === undefined || (validator.complete && ascii)) return true;
    return validator.push(this.#block, start, this.#end);
  }

  /** The payload bytes that have arrived: a view, not a copy. */
  get payload(): Buffer {
    return this.#block.subarray(MAX_HEADER_BYTES, this.#end);
  }

  /** The complete message; undefined when a text ends inside a character. */
  finish(): Message | undefined {
    if (this.#validator?.complete === false) return undefined;
    this.#reserve(0, 0);
    const start = MAX_HEADER_BYTES - headerBytes(this.payloadBytes);
    const payloadStart = writeHeader(this.#block, start, this.opcode, this.payloadBytes);
    return new Message(this.#block, start, payloadStart, this.#end);
  }

  #reserve(length: number, toCome: number): void {
    const needed = this.#end + length;
    if (this.#block.length >= needed && this.#block.length > 0) return;
    const announced = this.#end + toCome;
    const capacity = Math.max(needed, Math.min(announced, Math.max(2 * needed, INITIAL_BYTES)));
    const larger = allocateOwn(capacity);
    larger.set(this.#block.subarray(0, this.#end));
    this.#block = larger;
  }
}
