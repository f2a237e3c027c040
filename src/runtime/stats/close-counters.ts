/** Codes that have a count of their own; RFC 6455 section 7.4. */
const FIRST = 1000;
const LAST = 1015;
/** Those of libraries and applications, counted together: a peer must not choose how many counts there are. */
const RANGES = ["3xxx", "4xxx"] as const;
const SLOTS = LAST - FIRST + 1 + RANGES.length;

/** What these take of shared memory. */
export const CLOSE_COUNTERS_BYTES = SLOTS * Float64Array.BYTES_PER_ELEMENT;

/** Connections by the code that their actor's `closed` got: "1000" to "1015", "3xxx" and "4xxx". Those with none are left out. */
export type CloseCounts = Readonly<Record<string, number>>;

/** Closed connections by code, in memory that threads can share. One writer. */
export class CloseCounters {
  readonly #values: Float64Array;

  constructor(memory = new SharedArrayBuffer(CLOSE_COUNTERS_BYTES), byteOffset = 0) {
    this.#values = new Float64Array(memory, byteOffset, SLOTS);
  }

  /** @param code any that a close frame may carry, 1005 or 1006 */
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
