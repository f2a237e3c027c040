import { constants, createInflateRaw, type InflateRaw, inflateRawSync, type ZlibOptions } from "node:zlib";
import type { ViolationCode } from "./violation.ts";

const SMALLEST_CHUNK = 256;
const LARGEST_CHUNK = 64 * 1024;
/** More than this a thread doesn't keep for what comes out: enough for a message of a MiB, which is the longest by default, and for its end. */
const LARGEST_SCRATCH = 2 * 1024 * 1024;

/** One deflate stream, inflated. */
export interface Inflated {
  /** In memory that the next call may use again. */
  readonly bytes: Buffer;
  /** What the stream took of the input. */
  readonly consumedBytes: number;
}

export interface StreamSettings {
  readonly windowBits: number;
  readonly dictionary: Buffer;
  /** More than this it may not become. */
  readonly maxBytes: number;
}

/** How a stream may be inflated. */
export type InflateStream = (input: Buffer, settings: StreamSettings) => Inflated;

/** zlib's result with `info`, which its types don't know of. */
interface InflatedWithInfo {
  readonly buffer: Buffer;
  readonly engine: { readonly bytesWritten: number };
}

/** Node's one-shot function, which takes new memory for each piece that comes out, and once more to join them. */
export const inflateAnew: InflateStream = (input, settings) => {
  const chunkSize = Math.min(LARGEST_CHUNK, Math.max(SMALLEST_CHUNK, 4 * input.length));
  const options = { ...optionsOf(settings), info: true, chunkSize };
  const { buffer, engine } = inflateRawSync(input, options) as unknown as InflatedWithInfo;
  return { bytes: buffer, consumedBytes: engine.bytesWritten };
};

/** What Node's one-shot functions are made of, in every version that we run on; its types don't show it. */
interface Engine extends InflateRaw {
  _outBuffer: Buffer;
  _chunkSize: number;
  _processChunk(input: Buffer, flush: number): Buffer;
}

let scratch = Buffer.alloc(0);

/**
 * The same with memory of this thread's own for what comes out, which is used again and again: half the time for a message of a MiB, a
 * quarter less for a small one, and nothing for the garbage collector, whose pauses would be everybody's.
 */
export const inflateInPlace: InflateStream = (input, settings) => {
  if (scratch.length === 0) scratch = Buffer.allocUnsafeSlow(LARGEST_CHUNK);
  const engine = createInflateRaw({ ...optionsOf(settings), chunkSize: constants.Z_MIN_CHUNK }) as Engine;
  engine._outBuffer = scratch;
  engine._chunkSize = scratch.length;
  const bytes = engine._processChunk(input, constants.Z_FINISH);
  // It came in pieces, or nearly: the next will find room.
  if (bytes.length >= scratch.length && scratch.length < LARGEST_SCRATCH) {
    scratch = Buffer.allocUnsafeSlow(Math.min(LARGEST_SCRATCH, 2 ** Math.ceil(Math.log2(bytes.length + 1))));
  }
  return { bytes, consumedBytes: engine.bytesWritten };
};

/** The second where it does what it should, which a version of Node to come may change, else the first. */
export const inflateStream: InflateStream = usesScratch() ? inflateInPlace : inflateAnew;

/** What a stream comes to, or what is wrong with it. */
export function tryInflate(input: Buffer, settings: StreamSettings): Inflated | ViolationCode {
  try {
    const inflated = inflateStream(input, settings);
    return inflated.bytes.length > settings.maxBytes ? "ERR_MESSAGE_TOO_BIG" : inflated;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "ERR_BUFFER_TOO_LARGE" ? "ERR_MESSAGE_TOO_BIG" : "ERR_INVALID_DEFLATE";
  }
}

function optionsOf({ windowBits, dictionary, maxBytes }: StreamSettings): ZlibOptions {
  // zlib takes no limit of 0, and an empty stream may still follow.
  const maxOutputLength = Math.max(1, maxBytes);
  return dictionary.length > 0 ? { windowBits, maxOutputLength, dictionary } : { windowBits, maxOutputLength };
}

function usesScratch(): boolean {
  const settings = { windowBits: 15, dictionary: Buffer.alloc(0), maxBytes: 8 };
  // A stored block of one byte, the last (RFC 1951 section 3.2.4), and a byte that isn't its own.
  const input = Buffer.from([0x01, 0x01, 0x00, 0xfe, 0xff, 0x2a, 0x00]);
  try {
    const { bytes, consumedBytes } = inflateInPlace(input, settings);
    return bytes.buffer === scratch.buffer && bytes.length === 1 && bytes[0] === 0x2a && consumedBytes === 6;
  } catch {
    return false;
  }
}
