/** Arbitrary characters for property tests. */
import fc from "fast-check";

const SURROGATES = { first: 0xd800, count: 0x800 } as const;

/**
 * Any code point that UTF-8 can encode: the `unit` of `fc.string`. fast-check's own, "binary", means the same, and takes
 * more than a second of CPU time for a table of all of them.
 */
export const codePoint = fc
  .integer({ min: 0, max: 0x10_ffff - SURROGATES.count })
  .map((index) => String.fromCodePoint(index < SURROGATES.first ? index : index + SURROGATES.count));
