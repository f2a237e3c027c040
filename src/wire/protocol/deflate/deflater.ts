/**
 * Compresses frames. A shard has one `Deflaters` for all its connections; `switchboard/websocket` has one for each set
 * of options; the load generator compresses its payloads with a `Deflater`.
 */
import { builtins } from "../../node-internals/builtins.ts";
import { allocate } from "../allocator.ts";
import { type Frame, headerBytes, writeHeader } from "../frame.ts";
import { Opcode } from "../opcode.ts";
import type { CompressionOptions } from "./compression.ts";

/** Length of the end of a flush, which the sender removes and the receiver appends. Source: RFC 7692 section 7.2.1. */
const FLUSH_TAIL_BYTES = 4;
const COMPRESSED = 0x40;
const MIN_CHUNK_BYTES = 512;
const MAX_CHUNK_BYTES = 64 * 1024;

/**
 * Compresses whole messages, each by itself, in the calling thread. One compressed frame therefore serves every peer
 * with the same window, and nothing is kept per peer. RFC 7692 allows this with and without context takeover.
 *
 * All connections of a thread with the same options share one deflater, so that a frame that is sent to many peers, or
 * again later, is compressed once.
 */
export class Deflater {
  readonly #windowBits: number;
  readonly #options: Omit<CompressionOptions, "windowBits" | "contextTakeover">;
  /**
   * The compressed frame of each frame that is still referenced; the frame itself if compressing doesn't shorten it.
   */
  readonly #compressed = new WeakMap<Frame, Frame>();

  /** @param windowBits size of the window as a power of two: 9 to 15 */
  constructor(windowBits: number, options: Omit<CompressionOptions, "windowBits" | "contextTakeover">) {
    this.#windowBits = windowBits;
    this.#options = options;
  }

  /**
   * Returns the compressed frame. Returns the frame itself when its payload is shorter than the threshold, when
   * compressing doesn't shorten it, or when it may not be compressed: control frames and fragments.
   */
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
    const flushed = builtins.zlib.deflateRawSync(payload, {
      windowBits: this.#windowBits,
      level: this.#options.level,
      finishFlush: builtins.zlib.constants.Z_SYNC_FLUSH,
      chunkSize: Math.min(MAX_CHUNK_BYTES, Math.max(MIN_CHUNK_BYTES, payload.length >>> 1)),
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

/** The deflaters of a thread, one for each negotiated window. */
export class Deflaters {
  readonly #options: Omit<CompressionOptions, "windowBits" | "contextTakeover">;
  readonly #byWindowBits = new Map<number, Deflater>();

  constructor(options: Omit<CompressionOptions, "windowBits" | "contextTakeover">) {
    this.#options = options;
  }

  /** Returns the deflater of a window; undefined for 8, because zlib's smallest window is 9. */
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
