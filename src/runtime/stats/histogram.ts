/**
 * A histogram of times in memory that threads share. Part of `Counters`; the metrics show it to Prometheus.
 */

/** The counts of a histogram. */
export interface HistogramValues {
  /**
   * Number of observations at or below each bound `le`, in seconds, and above the bound before. The last bound is
   * `Infinity`.
   */
  readonly buckets: readonly { readonly le: number; readonly count: number }[];
  readonly count: number;
  readonly sum: number;
}

/** Upper bounds in seconds: from 50 µs, about what moving a socket takes, to 5 s. */
const BOUNDS = [
  0.000_05,
  0.000_1,
  0.000_25,
  0.000_5,
  0.001,
  0.002_5,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  Number.POSITIVE_INFINITY,
];
const SUM = BOUNDS.length;
const SLOTS = BOUNDS.length + 1;

/** Bytes of shared memory that a histogram takes. */
export const HISTOGRAM_BYTES = SLOTS * Float64Array.BYTES_PER_ELEMENT;

/** Counts times by size. One thread writes; any thread may read. */
export class SharedHistogram {
  readonly #values: Float64Array;

  constructor(memory = new SharedArrayBuffer(HISTOGRAM_BYTES), byteOffset = 0) {
    this.#values = new Float64Array(memory, byteOffset, SLOTS);
  }

  observe(seconds: number): void {
    let bucket = 0;
    while (seconds > (BOUNDS[bucket] as number)) bucket++;
    (this.#values[bucket] as number)++;
    (this.#values[SUM] as number) += seconds;
  }

  snapshot(): HistogramValues {
    const buckets = BOUNDS.map((le, bucket) => ({ le, count: this.#values[bucket] as number }));
    return { buckets, count: buckets.reduce((sum, { count }) => sum + count, 0), sum: this.#values[SUM] as number };
  }
}
