/** The messages that the load sends, as ready frames, and the check of what comes back. Used by every scenario. */
import { DEFAULT_COMPRESSION } from "../wire/protocol/deflate/compression.ts";
import { Deflater } from "../wire/protocol/deflate/deflater.ts";
import { encodeFrame, headerBytes } from "../wire/protocol/frame.ts";
import { maskFrame } from "../wire/protocol/masking/mask-frame.ts";
import { Opcode } from "../wire/protocol/opcode.ts";

const KEY_BYTES = 4;
/**
 * First digit of a counter. A digit is a character from "0" on with 6 bits, so that a counter can be part of a text.
 */
const ZERO = 0x30;
const DIGIT_BITS = 6;
const COUNTER_DIGITS = 4;
const SENDER_DIGITS = 2;
/** Shortest payload, in bytes, that names its publisher. */
export const MIN_PUBLISHED_BYTES = COUNTER_DIGITS + SENDER_DIGITS;
/** Largest number of publishers that a payload can name. */
export const MAX_PUBLISHERS = 1 << (SENDER_DIGITS * DIGIT_BITS);
/** Largest size, in bytes, of the frames that leave together. A single frame may be larger. */
const MAX_BURST_BYTES = 256 * 1024;
/** One of this many replies with a long payload is compared whole; the others by their last byte. */
const SAMPLE_EVERY = 16;
/** Longest payload, in bytes, that is compared whole in every reply. */
const MAX_SHORT_BYTES = 40;

const NO_KEY = [0, 0, 0, 0];

export interface PayloadOptions {
  /** Length of a payload, in bytes. */
  readonly bytes: number;
  /** True for text messages, false for binary ones. */
  readonly text: boolean;
  /** True for a payload that compresses well, of which only 64 variants exist. Default: false. */
  readonly compress?: boolean;
}

/** Number of variants of a compressed message. Each variant is compressed once and kept. */
export const COMPRESSED_MODULUS = 1 << DIGIT_BITS;

/**
 * The messages of a run. They differ only in a counter at the front, by which a reply is matched with its message.
 * Frames are masked once, when the payload is made, so sending a message costs only the four bytes of its counter. (A
 * predictable key protects no proxy, but no proxy needs protection from a load.)
 */
export class Payload {
  readonly type: "text" | "binary";
  /** Length of a payload, in bytes. */
  readonly bytes: number;
  /** Number of different counters; the counter then starts again at 0. */
  readonly modulus: number;
  /** First byte of the frames that carry the payload, in both directions. */
  readonly firstByte: number;
  readonly #plain: Buffer;
  readonly #digits: number;
  readonly #frameBytes: number;
  readonly #counterAt: number;
  readonly #key: readonly number[];
  #burst: Buffer;
  #views: Buffer[] = [];
  #checks = 0;
  readonly #compressed = new Map<number, Buffer[]>();

  /** @param inflight number of frames that may leave together */
  constructor({ bytes, text, compress = false }: PayloadOptions, inflight: number) {
    this.type = text ? "text" : "binary";
    const opcode = Opcode[this.type];
    this.bytes = bytes;
    this.firstByte = 0x80 | opcode;
    this.#digits = Math.min(COUNTER_DIGITS, bytes);
    this.modulus = 2 ** (DIGIT_BITS * (compress ? Math.min(1, this.#digits) : this.#digits));
    this.#plain = text || compress ? characters(bytes) : noise(bytes);
    const { block, start, end } = maskFrame(encodeFrame(opcode, this.#plain));
    const frame = block.subarray(start, end);
    this.#frameBytes = frame.length;
    this.#counterAt = headerBytes(bytes) + KEY_BYTES;
    this.#key = [...frame.subarray(this.#counterAt - KEY_BYTES, this.#counterAt)];
    const capacity = Math.max(1, Math.min(inflight, Math.floor(MAX_BURST_BYTES / frame.length)));
    this.#burst = Buffer.allocUnsafeSlow(capacity * frame.length);
    for (let i = 0; i < capacity; i++) this.#burst.set(frame, i * frame.length);
  }

  /** Largest number of frames that leave together. */
  get burst(): number {
    return this.#burst.length / this.#frameBytes;
  }

  /** Returns the frames of `count` messages, at most `burst`, with counters from `first`. Valid until the next call. */
  frames(first: number, count: number): Buffer {
    for (let i = 0; i < count; i++) {
      const at = i * this.#frameBytes + this.#counterAt;
      writeDigits(this.#burst, at, (first + i) % this.modulus, this.#digits, this.#key, 0);
    }
    this.#views[count] ??= this.#burst.subarray(0, count * this.#frameBytes);
    return this.#views[count];
  }

  /** Returns frames as `frames` does, which also name their publisher. */
  published(sender: number, first: number, count: number): Buffer {
    for (let i = 0; i < count; i++) {
      const at = i * this.#frameBytes + this.#counterAt + COUNTER_DIGITS;
      writeDigits(this.#burst, at, sender, SENDER_DIGITS, this.#key, COUNTER_DIGITS);
    }
    return this.frames(first, count);
  }

  /**
   * Returns compressed frames. Each of the `modulus` variants is compressed once and kept.
   *
   * @param windowBits window that the server accepts, as a power of two: 9 to 15
   */
  compressed(windowBits: number, sender: number | undefined, first: number, count: number): Buffer {
    const key = windowBits * MAX_PUBLISHERS + (sender ?? 0);
    let known = this.#compressed.get(key);
    if (known === undefined) {
      const deflater = new Deflater(windowBits, { threshold: 0, level: DEFAULT_COMPRESSION.level });
      known = Array.from({ length: this.modulus }, (_, counter) => this.#compress(deflater, sender, counter));
      this.#compressed.set(key, known);
    }
    const frames: Buffer[] = [];
    for (let i = 0; i < count; i++) frames.push(known[(first + i) % this.modulus] as Buffer);
    return frames.length === 1 ? (frames[0] as Buffer) : Buffer.concat(frames);
  }

  #compress(deflater: Deflater, sender: number | undefined, counter: number): Buffer {
    const plain = Buffer.from(this.#plain);
    writeDigits(plain, 0, counter, this.#digits, NO_KEY, 0);
    if (sender !== undefined) writeDigits(plain, COUNTER_DIGITS, sender, SENDER_DIGITS, NO_KEY, 0);
    const { block, start, end } = maskFrame(deflater.compress(encodeFrame(Opcode[this.type], plain)));
    return Buffer.from(block.subarray(start, end));
  }

  /** Leaves the last returned frames unchanged, because they weren't written at once. Later frames get new memory. */
  keep(): void {
    this.#burst = Buffer.from(this.#burst.buffer.slice(0));
    this.#views = [];
  }

  /** Reads the counter of a payload; -1 when there is none. */
  counter(bytes: Buffer, start: number): number {
    return readDigits(bytes, start, this.#digits);
  }

  /** Reads the publisher of a payload; -1 when there is none. */
  sender(bytes: Buffer, start: number): number {
    return readDigits(bytes, start + COUNTER_DIGITS, SENDER_DIGITS);
  }

  /**
   * True when the bytes after the digits are those that were sent. Compares short payloads whole, of long ones a
   * sample.
   */
  matches(bytes: Buffer, start: number, digits = this.#digits): boolean {
    const { bytes: length } = this;
    const plain = this.#plain;
    if (length > MAX_SHORT_BYTES) {
      if (this.#checks++ % SAMPLE_EVERY === 0) {
        return plain.compare(bytes, start + digits, start + length, digits, length) === 0;
      }
      return bytes[start + length - 1] === plain[length - 1];
    }
    for (let i = digits; i < length; i++) if (bytes[start + i] !== plain[i]) return false;
    return true;
  }

  /** Does the check of `matches` for a payload that names its publisher. */
  matchesPublished(bytes: Buffer, start: number): boolean {
    return this.matches(bytes, start, MIN_PUBLISHED_BYTES);
  }
}

/**
 * Writes the digits of `value`, masked with `key`.
 *
 * @param phase offset in the masking key of the first digit
 */
function writeDigits(
  bytes: Buffer,
  at: number,
  value: number,
  digits: number,
  key: readonly number[],
  phase: number,
): void {
  let rest = value;
  for (let i = digits - 1; i >= 0; i--) {
    bytes[at + i] = (ZERO + (rest & 63)) ^ (key[(phase + i) & 3] as number);
    rest >>>= DIGIT_BITS;
  }
}

function readDigits(bytes: Buffer, start: number, digits: number): number {
  let value = 0;
  let outside = 0;
  for (let i = 0; i < digits; i++) {
    const digit = (bytes[start + i] as number) - ZERO;
    outside |= digit;
    value = (value << DIGIT_BITS) | digit;
  }
  return (outside & ~63) === 0 ? value : -1;
}

/** Makes bytes that don't compress. They are equal in every thread, because in a fan-out threads check each other's. */
function noise(bytes: number): Buffer {
  const noise = Buffer.allocUnsafeSlow(bytes);
  let state = 1;
  for (let i = 0; i < bytes; i++) {
    // Source: Marsaglia, Xorshift RNGs (2003), section 3.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    noise[i] = state;
  }
  return noise;
}

/** Makes text that looks and compresses like the JSON that services send. */
function characters(bytes: number): Buffer {
  const words = ["order", "user", "price", "room", "state", "open", "amount", "time", "name", "event"];
  let text = "0000";
  for (let i = 0; text.length < bytes; i++) {
    text += `{"${words[i % words.length]}":"${words[(i * 7 + 3) % words.length]}-${(i * 7919) % 9973}"},`;
  }
  return Buffer.from(text.slice(0, bytes));
}
