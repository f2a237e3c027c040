/** The memory of frames and messages: one allocator per thread, used by the codec and by the connections of a shard. */
import { EMPTY } from "./empty.ts";

/** Size of a block that small regions share, in bytes. A message that is kept keeps its whole block alive. */
const BLOCK_BYTES = 64 * 1024;
/** Largest region that comes from a shared block, in bytes. A larger one gets its own memory and pins nothing else. */
const MAX_SHARED_BYTES = BLOCK_BYTES / 4;

/** A region of a block: `block[start, start + size)`. The caller owns it alone; no other call ever returns it again. */
export interface Region {
  readonly block: Buffer;
  readonly start: number;
}

/** Bytes of a large piece of memory for each element of its ballast. An element takes 8 bytes. */
const BYTES_PER_BALLAST = 64;
const MAX_BALLAST_ELEMENTS = 8 * 1024;

let block: Buffer = EMPTY;
let used = 0;

/**
 * Allocates uninitialised memory for one frame. Node's own pool works alike, but returns views: this allocator returns
 * offsets, so that a small message costs no typed array.
 */
export function allocate(size: number): Region {
  if (size > MAX_SHARED_BYTES) return { block: allocateOwn(size), start: 0 };
  if (used + size > block.length) {
    block = allocateOwn(BLOCK_BYTES);
    used = 0;
  }
  const start = used;
  used += size;
  return { block, start };
}

/** The array that was allocated beside the last large piece of memory. It is exported so that V8 cannot drop it. */
export let ballast: unknown[] = [];

/**
 * Allocates uninitialised memory that nothing else shares.
 *
 * V8 frees such memory, which lies outside its heap, when a collection finds it unused. A scavenge is quick and comes
 * when the young generation is full; a collection of the whole heap is slow and comes when too much outside memory has
 * piled up. Each large piece therefore also takes a little of the young generation (its ballast), so that scavenges
 * come in time. Measured with 64 KiB: this saves a quarter of the CPU of an echo.
 */
export function allocateOwn(size: number): Buffer<ArrayBuffer> {
  ballast = new Array(Math.min(Math.floor(size / BYTES_PER_BALLAST), MAX_BALLAST_ELEMENTS));
  return Buffer.allocUnsafeSlow(size);
}

/**
 * Returns a copy of the bytes in memory that nothing else shares, for bytes that may wait for long. `Buffer.from` and
 * `Buffer.concat` take memory of Node's pool: each connection that waits with a few bytes could keep 64 KiB of it.
 *
 * @param more bytes that follow
 */
export function ownCopy(bytes: Uint8Array, more: Uint8Array = EMPTY): Buffer<ArrayBuffer> {
  const copy = Buffer.allocUnsafeSlow(bytes.length + more.length);
  copy.set(bytes);
  copy.set(more, bytes.length);
  return copy;
}
