/**
 * Unmasks payloads while copying them. The decoder, the assembly and `maskFrame` call it for every payload: hot path.
 */
import { copies, inputMemory, inputVectors, type VectorMemory } from "./vectors.ts";

/** Key of an unmasked payload: unmasking with it copies. */
export const NO_KEY = 0;

/**
 * Shortest payload, in bytes, that vectors unmask faster in spite of their additional copying. Measured: 256 bytes take
 * 88 ns without vectors and 83 ns with them, 4 KiB take 950 and 240 ns.
 */
const MIN_VECTOR_BYTES = 256;
/** Vectors unmask multiples of this many bytes. */
const VECTOR_STEP_BYTES = 64;
/** Bytes that are unmasked in one call: a multiple of 64. Three chunks fit in the fastest cache of a processor. */
const CHUNK_BYTES = 16 * 1024;
/**
 * Largest memory, in bytes, of which the last view is kept for the next call. Keeping it pays, because input comes from
 * one read buffer and many small messages share one block. Both have 64 KiB, and Node's pool a little more.
 */
const MAX_VIEWED_BYTES = 128 * 1024;
const NON_ASCII = 0x80;
const FOUR_NON_ASCII = 0x80808080;

const NO_MEMORY = new ArrayBuffer(0);
let viewedSource: Buffer | undefined;
let sourceMemory: ArrayBufferLike = NO_MEMORY;
let sourceView: DataView = new DataView(NO_MEMORY);
/** Offset of the source in its memory. */
let sourceStart = 0;
let viewedTarget: Buffer | undefined;
let targetView: DataView = sourceView;

/** Reads the masking key at `bytes[at]` as a number. The lowest byte comes first. */
export function readKey(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}

/**
 * Copies `length` bytes from `source[from]` to `target[at]` and XORs them with the masking key. Returns true when all
 * bytes are known to be ASCII, so that a text needs no other check. Returns false when they aren't or weren't checked.
 * The bytes of the source may have changed afterwards, if they lie in the memory of `keepInput`.
 *
 * @param target a buffer at offset 0 of its memory, as `allocate` returns it
 * @param key the key from `readKey`; 0 for none
 * @param phase number of payload bytes of this frame that came before: a frame may arrive in pieces
 *
 * Source: RFC 6455 section 5.3.
 */
export function unmask(
  source: Buffer,
  from: number,
  target: Buffer,
  at: number,
  length: number,
  key: number,
  phase: number,
): boolean {
  const turned = rotate(key, phase);
  if (length < MIN_VECTOR_BYTES || copies === undefined) {
    return unmaskOnTheWay(source, from, target, at, length, turned) < NON_ASCII;
  }
  if (key === NO_KEY) {
    source.copy(target, at, from, from + length);
    return false;
  }
  return unmaskLong(copies, source, from, target, at, length, turned);
}

/** Like `unmask`, for at least 64 bytes that stay where they are. */
export function unmaskInPlace(bytes: Buffer, from: number, length: number, key: number): boolean {
  if (key === NO_KEY) return false;
  if (copies === undefined) return unmaskBytes(bytes, from, bytes, from, length, key) < NON_ASCII;
  return unmaskLong(copies, bytes, from, bytes, from, length, key);
}

/** XORs the bytes of the input where they are, and all others in the memory for copies. Then copies them to the target. */
function unmaskLong(
  elsewhere: VectorMemory,
  source: Buffer,
  from: number,
  target: Buffer,
  at: number,
  length: number,
  key: number,
): boolean {
  const input = inputVectors !== undefined && source.buffer === inputMemory ? inputVectors : undefined;
  const { bytes, xor } = input ?? elsewhere;
  const rest = length % VECTOR_STEP_BYTES;
  const whole = length - rest;
  let seen = 0;
  for (let done = 0; done < whole; done += CHUNK_BYTES) {
    const size = Math.min(whole - done, CHUNK_BYTES);
    const begin = input === undefined ? 0 : source.byteOffset + from + done;
    if (input === undefined) source.copy(bytes, 0, from + done, from + done + size);
    seen |= xor(begin, begin + size, key);
    if (input === undefined || source !== target) bytes.copy(target, at + done, begin, begin + size);
  }
  return unmaskBytes(source, from + whole, target, at + whole, rest, key) < NON_ASCII && seen === 0;
}

/** Rotates the key to where it stands after `bytes` payload bytes. */
function rotate(key: number, bytes: number): number {
  const bits = (bytes & 3) * 8;
  return (key >>> bits) | (key << (32 - bits));
}

function viewSource(source: Buffer): void {
  const { buffer } = source;
  sourceStart = source.byteOffset;
  if (buffer !== sourceMemory) sourceView = new DataView(buffer);
  const keep = buffer.byteLength <= MAX_VIEWED_BYTES || buffer === inputMemory;
  sourceMemory = keep ? buffer : NO_MEMORY;
  viewedSource = keep ? source : undefined;
}

function viewTarget(target: Buffer): void {
  targetView = new DataView(target.buffer);
  viewedTarget = target.length <= MAX_VIEWED_BYTES ? target : undefined;
}

/** Unmasks four bytes at a time. Returns a value below 0x80 when all bytes are ASCII. */
function unmaskOnTheWay(source: Buffer, from: number, target: Buffer, at: number, length: number, key: number): number {
  if (source !== viewedSource) viewSource(source);
  if (target !== viewedTarget) viewTarget(target);
  const start = sourceStart + from;
  let four = 0;
  let i = 0;
  for (; i + 3 < length; i += 4) {
    const bytes = sourceView.getInt32(start + i, true) ^ key;
    targetView.setInt32(at + i, bytes, true);
    four |= bytes;
  }
  const seen = (four & FOUR_NON_ASCII) === 0 ? 0 : NON_ASCII;
  return seen | unmaskBytes(source, from + i, target, at + i, length - i, key);
}

/** Unmasks one byte at a time, with the key as it is at the first. Returns a value below 0x80 when all bytes are ASCII. */
function unmaskBytes(source: Buffer, from: number, target: Buffer, at: number, length: number, key: number): number {
  let seen = 0;
  for (let i = 0; i < length; i++) {
    const byte = (source[from + i] as number) ^ ((key >>> ((i & 3) * 8)) & 0xff);
    target[at + i] = byte;
    seen |= byte;
  }
  return seen;
}
