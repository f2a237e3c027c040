import { DEFAULT_COMPRESSION } from "../wire/protocol/deflate/compression.ts";
import { Deflater } from "../wire/protocol/deflate/deflater.ts";
import { encodeFrame, headerBytes } from "../wire/protocol/frame.ts";
import { maskFrame } from "../wire/protocol/masking/mask-frame.ts";
import { Opcode } from "../wire/protocol/opcode.ts";

const KEY_BYTES = 4;
/** A counter's digits are characters, six bits each from "0" on, so that it can stand in a text. */
const ZERO = 0x30;
const DIGIT_BITS = 6;
const COUNTER_DIGITS = 4;
const SENDER_DIGITS = 2;
/** The shortest payload that says which publisher it is from. */
export const MIN_PUBLISHED_BYTES = COUNTER_DIGITS + SENDER_DIGITS;
export const MAX_PUBLISHERS = 1 << (SENDER_DIGITS * DIGIT_BITS);
/** Frames that leave together take at most this, unless one alone takes more. */
const BURST_BYTES = 256 * 1024;
/** Of longer payloads, every so many replies are compared to the last byte. */
const SAMPLE = 16;
const SHORT_BYTES = 40;

const NO_KEY = [0, 0, 0, 0];

export interface PayloadOptions {
  readonly bytes: number;
  readonly text: boolean;
  /** Whether it may have to be compressed: then it compresses well, and only 64 messages differ. Default: false. */
  readonly compress?: boolean;
}

/** Of compressed messages: each is made once and kept. */
export const COMPRESSED_MODULUS = 1 << DIGIT_BITS;

/**
 * The messages of a run: the same bytes each time but for a counter at the front, so that a reply can be told from any other. Frames are masked
 * once, for all time: sending one costs the four bytes of its counter. (A key that can be predicted protects no proxy, but there is none
 * to be protected from a load.)
 */
export class Payload {
  readonly type: "text" | "binary";
  /** Length of a payload. */
  readonly bytes: number;
  /** The counter starts again here. */
  readonly modulus: number;
  /** First byte of the frames that carry it, both ways. */
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

  /** @param inflight frames that may leave together */
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
    const capacity = Math.max(1, Math.min(inflight, Math.floor(BURST_BYTES / frame.length)));
    this.#burst = Buffer.allocUnsafeSlow(capacity * frame.length);
    for (let i = 0; i < capacity; i++) this.#burst.set(frame, i * frame.length);
  }

  /** Most frames that leave together. */
  get burst(): number {
    return this.#burst.length / this.#frameBytes;
  }

  /** The frames of `count` messages, at most `burst`, counted from `first`; valid until the next call. */
  frames(first: number, count: number): Buffer {
    for (let i = 0; i < count; i++) {
      const at = i * this.#frameBytes + this.#counterAt;
      writeDigits(this.#burst, at, (first + i) % this.modulus, this.#digits, this.#key, 0);
    }
    this.#views[count] ??= this.#burst.subarray(0, count * this.#frameBytes);
    return this.#views[count];
  }

  /** The same, from one of many publishers. */
  published(sender: number, first: number, count: number): Buffer {
    for (let i = 0; i < count; i++) {
      const at = i * this.#frameBytes + this.#counterAt + COUNTER_DIGITS;
      writeDigits(this.#burst, at, sender, SENDER_DIGITS, this.#key, COUNTER_DIGITS);
    }
    return this.frames(first, count);
  }

  /**
   * The same, compressed: each of the few different messages once, for all time.
   *
   * @param windowBits what the server takes, 9 to 15
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

  /** To be called when the frames given last weren't written at once: others get memory of their own. */
  keep(): void {
    this.#burst = Buffer.from(this.#burst.buffer.slice(0));
    this.#views = [];
  }

  /** The counter of a payload; -1 when there is none. */
  counter(bytes: Buffer, start: number): number {
    return readDigits(bytes, start, this.#digits);
  }

  /** The publisher of a payload; -1 when there is none. */
  sender(bytes: Buffer, start: number): number {
    return readDigits(bytes, start + COUNTER_DIGITS, SENDER_DIGITS);
  }

  /** Whether what follows the digits is what was sent: short payloads are compared whole, of longer ones every 16th. */
  matches(bytes: Buffer, start: number, digits = this.#digits): boolean {
    const { bytes: length } = this;
    const plain = this.#plain;
    if (length > SHORT_BYTES) {
      if (this.#checks++ % SAMPLE === 0) {
        return plain.compare(bytes, start + digits, start + length, digits, length) === 0;
      }
      return bytes[start + length - 1] === plain[length - 1];
    }
    for (let i = digits; i < length; i++) if (bytes[start + i] !== plain[i]) return false;
    return true;
  }

  /** The same for payloads that say their publisher. */
  matchesPublished(bytes: Buffer, start: number): boolean {
    return this.matches(bytes, start, MIN_PUBLISHED_BYTES);
  }
}

/** @param phase where in the masking key they begin */
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

/** Bytes that don't compress, the same in every thread: in a fan-out one checks what another has sent. */
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

/** Text that looks like what services send, and compresses like it. */
function characters(bytes: number): Buffer {
  const words = ["order", "user", "price", "room", "state", "open", "amount", "time", "name", "event"];
  let text = "0000";
  for (let i = 0; text.length < bytes; i++) {
    text += `{"${words[i % words.length]}":"${words[(i * 7 + 3) % words.length]}-${(i * 7919) % 9973}"},`;
  }
  return Buffer.from(text.slice(0, bytes));
}
