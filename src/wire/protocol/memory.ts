/** Small pieces share blocks of this size; a message that is kept keeps its block. */
const BLOCK_BYTES = 64 * 1024;
/** Larger pieces than this get memory of their own, so that a kept one pins little else. */
const LARGEST_SHARED = BLOCK_BYTES / 4;

/** A region of a block: `block[start, start + size)`, unused by anybody else and never used again. */
export interface Region {
  readonly block: Buffer;
  readonly start: number;
}

/** Bytes of a large piece for each element of its ballast, which takes 8. */
const BYTES_PER_BALLAST = 64;
const MOST_BALLAST = 8 * 1024;

let block = Buffer.alloc(0);
let used = 0;

/**
 * Memory for one frame, uninitialised. One allocator per thread, as Node's own pool has it; unlike
 * that pool it hands out offsets, not views, so that a small message costs no typed array.
 */
export function allocate(size: number): Region {
  if (size > LARGEST_SHARED) return { block: allocateAlone(size), start: 0 };
  if (used + size > block.length) {
    block = allocateAlone(BLOCK_BYTES);
    used = 0;
  }
  const start = used;
  used += size;
  return { block, start };
}

/** Of the last large piece. */
export let ballast: unknown[] = [];

/**
 * Memory of its own, uninitialised. V8 frees such memory when it has looked for what still refers to it: in a scavenge, which comes when the young
 * generation is full and is quick, or when it has waited until there is too much of it, in all of the heap. So each large piece takes a
 * little of the young generation, too (measured for 64 KiB: a quarter of the CPU of an echo).
 */
export function allocateAlone(size: number): Buffer<ArrayBuffer> {
  ballast = new Array(Math.min(Math.floor(size / BYTES_PER_BALLAST), MOST_BALLAST));
  return Buffer.allocUnsafeSlow(size);
}
