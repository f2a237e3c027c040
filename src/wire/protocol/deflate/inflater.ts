/** Inflates the compressed messages of one peer. The decoder calls it; the owner of a connection creates it. */
import { EMPTY } from "../empty.ts";
import type { ViolationCode } from "../violation.ts";
import type { DeflateAgreement } from "./compression.ts";
import { tryInflate } from "./inflate-stream.ts";

/**
 * Bytes to append to each payload. The first four are those that the sender removed (00 00 ff ff, RFC 7692 section
 * 7.2.2). The others are an empty last block: zlib reaches it only if the payload ends where a block ends.
 */
const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff]);

/**
 * Largest number of deflate streams in one message. Some senders end a stream with each flush (RFC 7692 section
 * 7.2.3.4). Each stream costs a run of zlib.
 */
const MAX_STREAMS = 256;

/** Longest payload, in bytes, that gets its tail in the buffer that all inflaters of a thread share. */
const MAX_SHARED_INPUT_BYTES = 64 * 1024;
let sharedInput: Buffer | undefined;

/**
 * Inflates the messages of one peer, one at a time, in the calling thread. With context takeover the inflater keeps the
 * last inflated bytes, which are the dictionary of the next message. Without it the inflater keeps nothing.
 */
export class Inflater {
  /** Window of the peer's messages: 9 to 15. A window of 8 becomes 9, zlib's smallest; a larger one does no harm. */
  readonly #windowBits: number;
  readonly #window: Window | undefined;

  constructor({ peerWindowBits, peerContextTakeover }: Omit<DeflateAgreement, "windowBits">) {
    this.#windowBits = Math.max(9, peerWindowBits);
    this.#window = peerContextTakeover ? new Window(1 << this.#windowBits) : undefined;
  }

  /** Takes the window out, for `load`: a view, or undefined if nothing is kept. */
  save(): Uint8Array | undefined {
    return this.#window?.bytes;
  }

  /** Goes on with the window of another inflater of the same agreement. */
  load(window: Uint8Array | undefined): void {
    if (window !== undefined) this.#window?.push(Buffer.from(window.buffer, window.byteOffset, window.byteLength));
  }

  /** Memory that is kept for the next message, in bytes. */
  get keptBytes(): number {
    return this.#window?.capacity ?? 0;
  }

  /**
   * Inflates `payload`. Returns the message, valid until the next call, or the code of what is wrong with the payload.
   * The memory used is at most `maxBytes` and what zlib itself needs, however much the payload would inflate to.
   */
  inflate(payload: Buffer, maxBytes: number): Buffer | ViolationCode {
    // A sender's zlib compresses the second empty message in one context to an empty payload, which zlib can't inflate.
    if (payload.length === 0) return EMPTY;
    const window = this.#window ?? new Window(1 << this.#windowBits);
    const pieces: Buffer[] = [];
    let inflatedBytes = 0;
    let input = withTail(payload);
    while (input.length > 0) {
      if (pieces.length === MAX_STREAMS) return "ERR_TOO_MANY_STREAMS";
      const settings = { windowBits: this.#windowBits, dictionary: window.bytes, maxBytes: maxBytes - inflatedBytes };
      const inflated = tryInflate(input, settings);
      if (typeof inflated === "string") return inflated;
      const { bytes, consumedBytes } = inflated;
      inflatedBytes += bytes.length;
      // A final block ends zlib's stream, but not the message, which goes on at the next byte (RFC 7692 section 7.2.1).
      input = input.subarray(consumedBytes);
      if (input.length > 0 || window === this.#window) window.push(bytes);
      if (input.length === 0 && pieces.length === 0) return bytes;
      pieces.push(Buffer.from(bytes));
    }
    return Buffer.concat(pieces);
  }
}

/** Returns the payload with the tail appended, valid until the next call. */
function withTail(payload: Buffer): Buffer {
  const { length } = payload;
  if (length > MAX_SHARED_INPUT_BYTES) return Buffer.concat([payload, TAIL]);
  sharedInput ??= Buffer.allocUnsafeSlow(MAX_SHARED_INPUT_BYTES + TAIL.length);
  payload.copy(sharedInput);
  TAIL.copy(sharedInput, length);
  return sharedInput.subarray(0, length + TAIL.length);
}

/** The last bytes of a stream, at most `size` of them. Its memory grows with the bytes that are kept. */
class Window {
  readonly #size: number;
  #block = EMPTY;
  #used = 0;

  constructor(size: number) {
    this.#size = size;
  }

  /** Memory that is allocated, in bytes. */
  get capacity(): number {
    return this.#block.length;
  }

  get bytes(): Buffer {
    return this.#block.subarray(0, this.#used);
  }

  push(bytes: Buffer): void {
    const added = bytes.subarray(-this.#size);
    const kept = Math.min(this.#used, this.#size - added.length);
    this.#reserve(kept + added.length);
    this.#block.copyWithin(0, this.#used - kept, this.#used);
    added.copy(this.#block, kept);
    this.#used = kept + added.length;
  }

  #reserve(needed: number): void {
    if (needed <= this.#block.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.min(this.#size, Math.max(needed, 2 * this.#block.length)));
    this.#block.copy(larger, 0, 0, this.#used);
    this.#block = larger;
  }
}
