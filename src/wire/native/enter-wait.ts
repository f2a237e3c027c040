/** How long `io_uring_enter` may wait for completions. */
import type { Mapping } from "./memory.ts";

/** Bytes of a `struct io_uring_getevents_arg`, and of the `struct __kernel_timespec` behind it. */
export const WAIT_BYTES = 40;
/** Bytes of the first of the two. */
export const WAIT_ARGUMENT_BYTES = 24;

/**
 * Writes the argument of a call that waits, which the kernel reads in each such call.
 *
 * @param at offset in the mapping, a multiple of 8
 * @returns address of the argument
 */
export function writeWait(mapping: Mapping, at: number, waitNs: number): bigint {
  const address = BigInt(mapping.address + at);
  const words = new BigInt64Array(mapping.buffer, at, WAIT_BYTES / 8);
  // No signals are blocked (words 0 and 1). Word 2 points to seconds and nanoseconds.
  words[2] = address + BigInt(WAIT_ARGUMENT_BYTES);
  words[3] = BigInt(Math.floor(waitNs / 1e9));
  words[4] = BigInt(waitNs % 1e9);
  return address;
}
