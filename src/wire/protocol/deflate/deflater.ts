import { constants, deflateRawSync } from "node:zlib";
import { type Frame, headerBytes, writeHeader } from "../frame.ts";
import { allocate } from "../memory.ts";
import { Opcode } from "../opcode.ts";
import type { CompressionOptions } from "./compression.ts";

/** The end that a flush leaves and every receiver adds again. Source: RFC 7692 section 7.2.1. */
const FLUSH_TAIL_BYTES = 4;
const COMPRESSED = 0x40;
const SMALLEST_CHUNK = 512;
const LARGEST_CHUNK = 64 * 1024;

/**
 * Compresses whole messages, each on its own, in the calling thread: so one compressed frame serves every peer with the same
 * window, and nothing is kept for any of them. (That is allowed whether or not context takeover was agreed.)
 *
 * One for all connections of a thread with the same options: a frame that is sent to many, or again later, is compressed once.
 */
export class Deflater {
  readonly #windowBits: number;
  readonly #options: Omit<CompressionOptions, "windowBits" | "contextTakeover">;
  readonly #compressed = new WeakMap<Frame, Frame>();

  /** @param windowBits 9 to 15 */
  constructor(windowBits: number, options: Omit<CompressionOptions, "windowBits" | "contextTakeover">) {
    this.#windowBits = windowBits;
    this.#options = options;
  }

  /** The frame compressed, or the frame itself where that isn't shorter, isn't worth it, or can't be: control frames and fragments. */
  compress(frame: Frame): Frame {
    const { block, start, end } = frame;
    if (end - start <= this.#options.threshold) return frame;
    const first = block[start] as number;
    if (first !== (0x80 | Opcode.text) && first !== (0x80 | Opcode.binary)) return frame;
    const payloadStart = start + unmaskedHeaderBytes(block[start + 1] as number);
    if (end - payloadStart < this.#options.threshold) return frame;

    let compressed = this.#compressed.get(frame);
    if (compressed === undefined) {
      compressed = this.#deflate(first & 0x0f, block.subarray(payloadStart, end)) ?? frame;
      this.#compressed.set(frame, compressed);
    }
    return compressed;
  }

  #deflate(opcode: number, payload: Buffer): Frame | undefined {
    const flushed = deflateRawSync(payload, {
      windowBits: this.#windowBits,
      level: this.#options.level,
      finishFlush: constants.Z_SYNC_FLUSH,
      chunkSize: Math.min(LARGEST_CHUNK, Math.max(SMALLEST_CHUNK, payload.length >>> 1)),
    });
    const payloadBytes = flushed.length - FLUSH_TAIL_BYTES;
    if (payloadBytes >= payload.length) return undefined;
    const { block, start } = allocate(headerBytes(payloadBytes) + payloadBytes);
    const payloadStart = writeHeader(block, start, opcode as Opcode, payloadBytes);
    block[start] = COMPRESSED | (block[start] as number);
    flushed.copy(block, payloadStart, 0, payloadBytes);
    return { block, start, end: payloadStart + payloadBytes };
  }
}

/** The deflaters of a thread, one for each window that was agreed on. */
export class Deflaters {
  readonly #options: Omit<CompressionOptions, "windowBits" | "contextTakeover">;
  readonly #byWindowBits = new Map<number, Deflater>();

  constructor(options: Omit<CompressionOptions, "windowBits" | "contextTakeover">) {
    this.#options = options;
  }

  /** Undefined for 8: zlib's smallest window is 9. */
  get(windowBits: number): Deflater | undefined {
    if (windowBits < 9) return undefined;
    let deflater = this.#byWindowBits.get(windowBits);
    if (deflater === undefined) {
      deflater = new Deflater(windowBits, this.#options);
      this.#byWindowBits.set(windowBits, deflater);
    }
    return deflater;
  }
}

function unmaskedHeaderBytes(second: number): number {
  return second < 126 ? 2 : second === 126 ? 4 : 10;
}
