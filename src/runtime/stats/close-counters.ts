/**
 * Counts of closed connections by close code, in memory that threads share. Part of `Counters`.
 */

/** Codes that each have a count of their own. Source: RFC 6455 section 7.4. */
const FIRST = 1000;
const LAST = 1015;
/** Codes of libraries and of applications. Each range has one count, so that a peer can't create counts. */
const RANGES = ["3xxx", "4xxx"] as const;
const SLOTS = LAST - FIRST + 1 + RANGES.length;

/** Bytes of shared memory that `CloseCounters` takes. */
export const CLOSE_COUNTERS_BYTES = SLOTS * Float64Array.BYTES_PER_ELEMENT;

/**
 * Number of closed connections by the code that the actor's `closed` got: "1000" to "1015", "3xxx" and "4xxx". Codes
 * with no connection are left out.
 */
export type CloseCounts = Readonly<Record<string, number>>;

/** Number of closed connections by code. One thread writes; any thread may read. */
export class CloseCounters {
  readonly #values: Float64Array;

  constructor(memory = new SharedArrayBuffer(CLOSE_COUNTERS_BYTES), byteOffset = 0) {
    this.#values = new Float64Array(memory, byteOffset, SLOTS);
  }

  /** @param code a code that a close frame may carry, or 1005 or 1006 */
  add(code: number): void {
    const slot = code <= LAST ? code - FIRST : LAST - FIRST + (code < 4000 ? 1 : 2);
    (this.#values[slot] as number)++;
  }

  snapshot(): CloseCounts {
    const counts: Record<string, number> = {};
    for (let slot = 0; slot < SLOTS; slot++) {
      const count = this.#values[slot] as number;
      const name = RANGES[slot - (LAST - FIRST + 1)] ?? String(FIRST + slot);
      if (count > 0) counts[name] = count;
    }
    return counts;
  }
}
