import { constants, createInflateRaw, type InflateRaw, inflateRawSync, type ZlibOptions } from "node:zlib";
import type { ViolationCode } from "../violation.ts";

const SMALLEST_CHUNK = 256;
const LARGEST_CHUNK = 64 * 1024;
/** More than this a thread doesn't keep for what comes out: enough for a message of a MiB, which is the longest by default, and for its end. */
const LARGEST_SCRATCH = 2 * 1024 * 1024;

const STORED_HEADER_BYTES = 5;
const LARGEST_WINDOW = 32 * 1024;

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
  _handle: { close: () => void } | null;
  _outBuffer: Buffer;
  _chunkSize: number;
  _maxOutputLength: number;
  _processChunk(input: Buffer, flush: number): Buffer;
}

/** An engine that stays, with the handle that Node takes from it after each use. */
interface KeptEngine {
  readonly engine: Engine;
  readonly handle: Engine["_handle"];
}

const kept = new Map<number, KeptEngine>();
let scratch = Buffer.alloc(0);
/** A stored block that isn't the last (RFC 1951 section 3.2.4), with room for the largest window. */
let storedBlock: Buffer | undefined;

/**
 * The same with an engine of this thread's own and memory for what comes out, which are used again and again: less than half the time, and
 * next to nothing for the garbage collector, whose pauses would be everybody's. The dictionary is what a stored block before the stream would
 * have left.
 */
export const inflateInPlace: InflateStream = (input, { windowBits, dictionary, maxBytes }) => {
  const one = kept.get(windowBits) ?? keepEngine(windowBits);
  const { engine } = one;
  try {
    prepare(one);
    engine.reset();
    if (dictionary.length > 0) {
      run(engine, storedBlockOf(dictionary), constants.Z_SYNC_FLUSH, dictionary.length);
      prepare(one);
    }
    const bytes = run(engine, input, constants.Z_FINISH, maxBytes);
    return { bytes, consumedBytes: engine.bytesWritten };
  } catch (error) {
    // It may be in any state.
    kept.delete(windowBits);
    close(one);
    throw error;
  }
};

function keepEngine(windowBits: number): KeptEngine {
  const engine = createInflateRaw({ windowBits, chunkSize: constants.Z_MIN_CHUNK }) as Engine;
  const handle = engine._handle;
  if (handle !== null) handle.close = () => {};
  const one = { engine, handle };
  kept.set(windowBits, one);
  return one;
}

function prepare({ engine, handle }: KeptEngine): void {
  engine._handle = handle;
  engine.removeAllListeners("error");
}

function run(engine: Engine, input: Buffer, flush: number, maxBytes: number): Buffer {
  if (scratch.length === 0) scratch = Buffer.allocUnsafeSlow(LARGEST_CHUNK);
  engine._outBuffer = scratch;
  engine._chunkSize = scratch.length;
  engine._maxOutputLength = Math.max(1, maxBytes);
  const bytes = engine._processChunk(input, flush);
  // It came in pieces, or nearly: the next will find room.
  if (bytes.length >= scratch.length && scratch.length < LARGEST_SCRATCH) {
    scratch = Buffer.allocUnsafeSlow(Math.min(LARGEST_SCRATCH, 2 ** Math.ceil(Math.log2(bytes.length + 1))));
  }
  return bytes;
}

function close({ handle }: KeptEngine): void {
  if (handle === null) return;
  // What is in the way of the real one.
  Reflect.deleteProperty(handle, "close");
  handle.close();
}

function storedBlockOf(bytes: Buffer): Buffer {
  storedBlock ??= Buffer.allocUnsafeSlow(STORED_HEADER_BYTES + LARGEST_WINDOW);
  const { length } = bytes;
  storedBlock[0] = 0;
  storedBlock.writeUInt16LE(length, 1);
  storedBlock.writeUInt16LE(~length & 0xffff, 3);
  bytes.copy(storedBlock, STORED_HEADER_BYTES);
  return storedBlock.subarray(0, STORED_HEADER_BYTES + length);
}

/** The second where it does what it should, which a version of Node to come may change, else the first. */
export const inflateStream: InflateStream = worksInPlace() ? inflateInPlace : inflateAnew;

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

function worksInPlace(): boolean {
  // A last block: "x" and five bytes, each as the third before it; and a byte that isn't its own.
  const input = Buffer.from("ab0023002a", "hex");
  try {
    return ["ab", "yz"].every((before) => {
      const settings = { windowBits: 15, dictionary: Buffer.from(`x${before}`), maxBytes: 6 };
      const { bytes, consumedBytes } = inflateInPlace(input, settings);
      return bytes.toString() === `x${before}x${before}` && bytes.buffer === scratch.buffer && consumedBytes === 4;
    });
  } catch {
    return false;
  }
}
