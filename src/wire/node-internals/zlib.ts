/**
 * Private parts of `node:zlib` (`lib/zlib.js`), on which its one-shot functions are built. The inflater uses them. When
 * one is missing, the inflater notices at its first use, and uses `inflateWithInfo`, at more than twice the time.
 */
import type { InflateRaw, ZlibOptions } from "node:zlib";
import { builtins } from "./builtins.ts";

/** The native object below a zlib stream. */
export interface EngineHandle {
  close(): void;
}

/** A stream of zlib with its private parts. */
interface Engine extends InflateRaw {
  /** Node closes the handle, and removes it from the engine, after each use. */
  _handle: EngineHandle | null;
  /** Memory for the output. */
  _outBuffer: Buffer;
  /** Length of `_outBuffer` in bytes. */
  _chunkSize: number;
  /** Largest number of bytes of output. */
  _maxOutputLength: number;
  /** Inflates all of the input in this call. Output that doesn't fit `_outBuffer` comes in memory of its own. */
  _processChunk(input: Buffer, flush: number): Buffer;
}

/** Returns the handle of an engine; null or undefined when there is none. */
export function engineHandleOf(engine: InflateRaw): EngineHandle | null {
  return (engine as Engine)._handle;
}

/** Puts a handle back that Node has removed. */
export function restoreEngineHandle(engine: InflateRaw, handle: EngineHandle | null): void {
  (engine as Engine)._handle = handle;
}

/**
 * Inflates all of the input in this call. Throws zlib's error, or `ERR_BUFFER_TOO_LARGE` for more than `maxBytes`.
 *
 * @param output memory for the output, which is a view of it unless it fills it
 * @param flush how to treat the end of the input: one of zlib's constants
 */
export function inflateInto(
  engine: InflateRaw,
  input: Buffer,
  flush: number,
  output: Buffer,
  maxBytes: number,
): Buffer {
  const parts = engine as Engine;
  parts._outBuffer = output;
  parts._chunkSize = output.length;
  parts._maxOutputLength = maxBytes;
  return parts._processChunk(input, flush);
}

/** The result of zlib's functions with the option `info`. */
export interface InflatedWithInfo {
  readonly buffer: Buffer;
  /** `bytesWritten`: number of bytes of input that belong to the stream. */
  readonly engine: { readonly bytesWritten: number };
}

/** Inflates with the option `info` of `inflateRawSync`. Documented; Node's types don't know the result. */
export function inflateWithInfo(input: Buffer, options: ZlibOptions): InflatedWithInfo {
  return builtins.zlib.inflateRawSync(input, { ...options, info: true }) as unknown as InflatedWithInfo;
}
