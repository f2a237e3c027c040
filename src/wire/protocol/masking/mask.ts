import { createVectorUnmask } from "./vector-mask.ts";

/** Where there is no masking: unmasking with it is copying. */
export const NO_KEY = 0;

const unmaskVectors = createVectorUnmask();
/** From this length on vectors pay, for all the copying they need (measured: 256 bytes, 88 ns without and 83 with; 4 KiB, 950 and 240). */
const VECTORS_PAY_FROM = 256;
/** What vectors unmask is a multiple of this. */
const VECTOR_STEP = 64;
/** Views of memory up to this size are kept: what is read comes from one buffer, and many small messages share one block. */
const LARGEST_KEPT = 64 * 1024;
const NON_ASCII = 0x80;
const FOUR_NON_ASCII = 0x80808080;

const NOTHING = new ArrayBuffer(0);
let viewedSource: Buffer | undefined;
let sourceMemory: ArrayBufferLike = NOTHING;
let sourceView: DataView = new DataView(NOTHING);
/** Where the source begins in its memory. */
let sourceStart = 0;
let viewedTarget: Buffer | undefined;
let targetView: DataView = sourceView;

/** The masking key that begins at `bytes[at]`, as a number; the lowest byte comes first. */
export function readKey(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}

/**
 * Copies `length` bytes from `source[from]` to `target[at]`, XORing them with the masking key. True means that the
 * bytes were seen to be ASCII (so a text needs no other check); false that they aren't, or that nobody looked.
 *
 * @param key as `readKey` gives it; 0 where there is none
 * @param phase how many payload bytes of this frame came before, so that a frame may arrive in pieces
 * @param target memory of its own (byte offset 0), as `allocate` gives it
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
  if (length < VECTORS_PAY_FROM || unmaskVectors === undefined) {
    return unmaskOnTheWay(source, from, target, at, length, turned) < NON_ASCII;
  }
  if (key === NO_KEY) {
    source.copy(target, at, from, from + length);
    return false;
  }
  const rest = length % VECTOR_STEP;
  const done = length - rest;
  const ascii = unmaskVectors(source, from, target, at, done, turned);
  return unmaskOnTheWay(source, from + done, target, at + done, rest, turned) < NON_ASCII && ascii;
}

/** The key as it applies after so many bytes. */
function rotate(key: number, bytes: number): number {
  const bits = (bytes & 3) * 8;
  return (key >>> bits) | (key << (32 - bits));
}

function viewSource(source: Buffer): void {
  const { buffer } = source;
  sourceStart = source.byteOffset;
  if (buffer !== sourceMemory) sourceView = new DataView(buffer);
  const keep = buffer.byteLength <= LARGEST_KEPT;
  sourceMemory = keep ? buffer : NOTHING;
  viewedSource = keep ? source : undefined;
}

function viewTarget(target: Buffer): void {
  targetView = new DataView(target.buffer);
  viewedTarget = target.length <= LARGEST_KEPT ? target : undefined;
}

/** Four bytes a round. What it returns is below 0x80 when all of them are ASCII. */
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
  let seen = (four & FOUR_NON_ASCII) === 0 ? 0 : NON_ASCII;
  for (; i < length; i++) {
    const byte = (source[from + i] as number) ^ ((key >>> ((i & 3) * 8)) & 0xff);
    target[at + i] = byte;
    seen |= byte;
  }
  return seen;
}
