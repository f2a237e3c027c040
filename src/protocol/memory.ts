/** Small pieces share blocks of this size; a message that is kept keeps its block. */
const BLOCK_BYTES = 64 * 1024;
/** Larger pieces than this get memory of their own, so that a kept one pins little else. */
const LARGEST_SHARED = BLOCK_BYTES / 4;

/** A region of a block: `block[start, start + size)`, unused by anybody else and never used again. */
export interface Region {
  readonly block: Buffer;
  readonly start: number;
}

let block = Buffer.alloc(0);
let used = 0;

/**
 * Memory for one frame, uninitialised. One allocator per thread, as Node's own pool has it; unlike
 * that pool it hands out offsets, not views, so that a small message costs no typed array.
 */
export function allocate(size: number): Region {
  if (size > LARGEST_SHARED) return { block: Buffer.allocUnsafeSlow(size), start: 0 };
  if (used + size > block.length) {
    block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
    used = 0;
  }
  const start = used;
  used += size;
  return { block, start };
}
