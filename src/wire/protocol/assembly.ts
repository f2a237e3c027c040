import { headerBytes, MAX_HEADER_BYTES, writeHeader } from "./frame.ts";
import { unmask } from "./masking/mask.ts";
import { allocateAlone } from "./memory.ts";
import { Message } from "./message.ts";
import { Opcode } from "./opcode.ts";
import { Utf8Validator } from "./utf8.ts";

/** Memory an announced payload gets before its bytes have come. */
const INITIAL_BYTES = 4 * 1024;

/**
 * A message that arrives in pieces: fragments, or one frame over several reads. Its memory follows what has really
 * arrived (at most twice that), never what a header announces. Room for a header stays free in front.
 */
export class Assembly {
  readonly opcode: Opcode;
  /** Whether the payload is to be inflated when it is whole; a text is checked after that. */
  readonly compressed: boolean;
  readonly #validator: Utf8Validator | undefined;
  #block = Buffer.allocUnsafeSlow(0);
  #end = MAX_HEADER_BYTES;
  fragments = 1;

  constructor(opcode: Opcode, compressed = false) {
    this.opcode = opcode;
    this.compressed = compressed;
    this.#validator = opcode === Opcode.text && !compressed ? new Utf8Validator() : undefined;
  }

  get payloadBytes(): number {
    return this.#end - MAX_HEADER_BYTES;
  }

  /**
   * Takes `length` masked bytes. False when the text can't be valid any more.
   *
   * @param toCome bytes still to come in the whole message, these included, if that is known; else infinity
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

  /** What has come, not a copy. */
  get payload(): Buffer {
    return this.#block.subarray(MAX_HEADER_BYTES, this.#end);
  }

  /** The whole message; undefined when a text ends inside a character. */
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
    const larger = allocateAlone(capacity);
    larger.set(this.#block.subarray(0, this.#end));
    this.#block = larger;
  }
}
