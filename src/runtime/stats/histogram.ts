/** What a histogram has counted, in seconds. */
export interface HistogramValues {
  /** Observations at or below each bound, without those at or below the bound before it; the last, for `Infinity`, has the rest. */
  readonly buckets: readonly { readonly le: number; readonly count: number }[];
  readonly count: number;
  readonly sum: number;
}

/** From 50 µs, about what moving a socket takes, to where nothing is right any more. In seconds. */
const BOUNDS = [
  ...[0.000_05, 0.000_1, 0.000_25, 0.000_5],
  ...[0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
  Number.POSITIVE_INFINITY,
];
const SUM = BOUNDS.length;
const SLOTS = BOUNDS.length + 1;

/** What one takes of shared memory. */
export const HISTOGRAM_BYTES = SLOTS * Float64Array.BYTES_PER_ELEMENT;

/** Times in memory that threads can share: one writer, no message needed to read them. */
export class Histogram {
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
