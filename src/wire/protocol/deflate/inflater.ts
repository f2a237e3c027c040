import type { ViolationCode } from "../violation.ts";
import type { DeflateAgreement } from "./compression.ts";
import { tryInflate } from "./inflate-stream.ts";

/**
 * What a sender has taken off (00 00 ff ff, RFC 7692 section 7.2.2), and an empty last block: a payload that doesn't end where a block
 * ends never gets there.
 */
const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff]);

/** Streams that a message may be made of. Some senders end one with each flush (section 7.2.3.4); each costs a run of zlib. */
const MAX_STREAMS = 256;

const NOTHING = Buffer.alloc(0);

/** Payloads up to here get their tail in memory that all of this thread share. */
const LARGEST_SHARED_INPUT = 64 * 1024;
let sharedInput: Buffer | undefined;

/**
 * Inflates a peer's messages, one at a time, in the calling thread. Nothing is kept between them but, where context takeover was
 * agreed, the last bytes that came out: they are the next message's dictionary.
 */
export class Inflater {
  /** zlib's smallest is what a window of 8 gets: taking more than was agreed does no harm. */
  readonly #windowBits: number;
  readonly #window: Window | undefined;

  constructor({ peerWindowBits, peerContextTakeover }: Omit<DeflateAgreement, "windowBits">) {
    this.#windowBits = Math.max(9, peerWindowBits);
    this.#window = peerContextTakeover ? new Window(1 << this.#windowBits) : undefined;
  }

  /** Bytes kept for the next message. */
  get keptBytes(): number {
    return this.#window?.capacity ?? 0;
  }

  /**
   * The message that was compressed to `payload`, or what is wrong with it. It is good until the next call. Memory stays within `maxBytes`
   * and what zlib itself needs, whatever the payload would inflate to.
   */
  inflate(payload: Buffer, maxBytes: number): Buffer | ViolationCode {
    // Nothing at all can't be inflated, but zlib gives it for a second empty message in one context.
    if (payload.length === 0) return NOTHING;
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
      // A block that says it is the last ends zlib's stream, not the message: it goes on at the next byte (section 7.2.1).
      input = input.subarray(consumedBytes);
      if (input.length > 0 || window === this.#window) window.push(bytes);
      if (input.length === 0 && pieces.length === 0) return bytes;
      pieces.push(Buffer.from(bytes));
    }
    return Buffer.concat(pieces);
  }
}

/** The payload and what has been taken off: good until the next call. */
function withTail(payload: Buffer): Buffer {
  const { length } = payload;
  if (length > LARGEST_SHARED_INPUT) return Buffer.concat([payload, TAIL]);
  sharedInput ??= Buffer.allocUnsafeSlow(LARGEST_SHARED_INPUT + TAIL.length);
  payload.copy(sharedInput);
  TAIL.copy(sharedInput, length);
  return sharedInput.subarray(0, length + TAIL.length);
}

/** The last bytes of a stream, in memory that grows with them. */
class Window {
  readonly #size: number;
  #block = NOTHING;
  #used = 0;

  constructor(size: number) {
    this.#size = size;
  }

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
