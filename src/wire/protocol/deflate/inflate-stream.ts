/** Inflates one deflate stream with zlib, in the calling thread. Only the inflater uses this file. */
import type { InflateRaw, ZlibOptions } from "node:zlib";
import { builtins } from "../../node-internals/builtins.ts";
import {
  type EngineHandle,
  engineHandleOf,
  inflateInto,
  inflateWithInfo,
  restoreEngineHandle,
} from "../../node-internals/zlib.ts";
import { EMPTY, noop } from "../empty.ts";
import type { ViolationCode } from "../violation.ts";

const MIN_CHUNK_BYTES = 256;
const MAX_CHUNK_BYTES = 64 * 1024;
/**
 * Largest output buffer that a thread keeps, in bytes. It holds a message of 1 MiB, which is the longest by default,
 * and leaves room to see the end of the stream.
 */
const MAX_SCRATCH_BYTES = 2 * 1024 * 1024;

const STORED_HEADER_BYTES = 5;
const MAX_WINDOW_BYTES = 32 * 1024;

/** The result of inflating one deflate stream. */
export interface Inflated {
  /** Inflated bytes. The next call may reuse their memory. */
  readonly bytes: Buffer;
  /** Number of input bytes that belong to the stream. */
  readonly consumedBytes: number;
}

export interface StreamSettings {
  /** Size of the window as a power of two: 9 to 15. */
  readonly windowBits: number;
  /** Inflated bytes to which the stream may refer; empty for none. */
  readonly dictionary: Buffer;
  /** Largest number of inflated bytes. */
  readonly maxBytes: number;
}

/** A way to inflate a stream. Throws zlib's error. */
export type InflateStream = (input: Buffer, settings: StreamSettings) => Inflated;

/** Inflates with Node's one-shot function, which allocates memory for each piece of output and again to join them. */
export const inflateAnew: InflateStream = (input, settings) => {
  const chunkSize = Math.min(MAX_CHUNK_BYTES, Math.max(MIN_CHUNK_BYTES, 4 * input.length));
  const { buffer, engine } = inflateWithInfo(input, { ...optionsOf(settings), chunkSize });
  return { bytes: buffer, consumedBytes: engine.bytesWritten };
};

/** A reusable engine, and its handle, which Node removes from the engine after each use. */
interface KeptEngine {
  readonly engine: InflateRaw;
  readonly handle: EngineHandle | null;
}

/** The engines of this thread, by `windowBits`. */
const kept = new Map<number, KeptEngine>();
/** The output buffer of this thread. */
let scratch = EMPTY;
/** A stored block that isn't final (RFC 1951 section 3.2.4), with room for the largest window. */
let storedBlock: Buffer | undefined;

/**
 * Inflates with an engine and an output buffer that this thread reuses. This takes less than half the time of
 * `inflateAnew` and leaves almost no garbage, whose collection would pause every connection of the thread. The
 * dictionary is set by inflating it first, as a stored block.
 */
export const inflateInPlace: InflateStream = (input, { windowBits, dictionary, maxBytes }) => {
  const one = kept.get(windowBits) ?? keepEngine(windowBits);
  const { engine } = one;
  try {
    prepare(one);
    engine.reset();
    if (dictionary.length > 0) {
      run(engine, storedBlockOf(dictionary), builtins.zlib.constants.Z_SYNC_FLUSH, dictionary.length);
      prepare(one);
    }
    const bytes = run(engine, input, builtins.zlib.constants.Z_FINISH, maxBytes);
    return { bytes, consumedBytes: engine.bytesWritten };
  } catch (error) {
    // The engine may be in any state after an error.
    kept.delete(windowBits);
    close(one);
    throw error;
  }
};

function keepEngine(windowBits: number): KeptEngine {
  const engine = builtins.zlib.createInflateRaw({ windowBits, chunkSize: builtins.zlib.constants.Z_MIN_CHUNK });
  const handle = engineHandleOf(engine);
  if (handle !== null) handle.close = noop;
  const one = { engine, handle };
  kept.set(windowBits, one);
  return one;
}

function prepare({ engine, handle }: KeptEngine): void {
  restoreEngineHandle(engine, handle);
  engine.removeAllListeners("error");
}

function run(engine: InflateRaw, input: Buffer, flush: number, maxBytes: number): Buffer {
  if (scratch.length === 0) scratch = Buffer.allocUnsafeSlow(MAX_CHUNK_BYTES);
  const bytes = inflateInto(engine, input, flush, scratch, Math.max(1, maxBytes));
  // The output filled the buffer: a larger buffer spares the next one from coming in pieces.
  if (bytes.length >= scratch.length && scratch.length < MAX_SCRATCH_BYTES) {
    scratch = Buffer.allocUnsafeSlow(Math.min(MAX_SCRATCH_BYTES, 2 ** Math.ceil(Math.log2(bytes.length + 1))));
  }
  return bytes;
}

function close({ handle }: KeptEngine): void {
  if (handle === null) return;
  // Deletes the no-op of `keepEngine`, which hides the prototype's `close`.
  Reflect.deleteProperty(handle, "close");
  handle.close();
}

function storedBlockOf(bytes: Buffer): Buffer {
  storedBlock ??= Buffer.allocUnsafeSlow(STORED_HEADER_BYTES + MAX_WINDOW_BYTES);
  const { length } = bytes;
  storedBlock[0] = 0;
  storedBlock.writeUInt16LE(length, 1);
  storedBlock.writeUInt16LE(~length & 0xffff, 3);
  bytes.copy(storedBlock, STORED_HEADER_BYTES);
  return storedBlock.subarray(0, STORED_HEADER_BYTES + length);
}

/** The way that works in this version of Node; undefined before the first stream. */
let way: InflateStream | undefined;

/**
 * Returns the faster way if that works in this version of Node, whose private parts it uses; else the one-shot
 * function.
 */
export function inflateWay(): InflateStream {
  way ??= worksInPlace() ? inflateInPlace : inflateAnew;
  return way;
}

/** Inflates one stream. Returns the code of what is wrong with it in place of throwing. */
export function tryInflate(input: Buffer, settings: StreamSettings): Inflated | ViolationCode {
  try {
    const inflated = inflateWay()(input, settings);
    return inflated.bytes.length > settings.maxBytes ? "ERR_MESSAGE_TOO_BIG" : inflated;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "ERR_BUFFER_TOO_LARGE" ? "ERR_MESSAGE_TOO_BIG" : "ERR_INVALID_DEFLATE";
  }
}

function optionsOf({ windowBits, dictionary, maxBytes }: StreamSettings): ZlibOptions {
  // zlib accepts no limit of 0, which is left when an empty stream follows a message of the largest size.
  const maxOutputLength = Math.max(1, maxBytes);
  return dictionary.length > 0 ? { windowBits, maxOutputLength, dictionary } : { windowBits, maxOutputLength };
}

function worksInPlace(): boolean {
  // A final block that says "copy 5 bytes from 3 bytes back" after an "x", and one byte that is not part of the stream.
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
