/** The histogram of latencies. Threads record into one; reports and benchmarks merge the counts of several. */

/** Number of buckets per power of two: the width of a bucket is at most 1/128 of its values. */
const SUB_BUCKETS = 128;
const SUB_BUCKET_BITS = 7;
/** Number of units in a value of 1. Below `2 * SUB_BUCKETS` units, each bucket is one unit wide. */
const UNITS = 8;
const MAX_UNITS = 2 ** 31 - 1;

/** One bucket: a value inside it, and the number of values recorded in it. */
export type Count = readonly [value: number, count: number];

/**
 * Counts of values in log-linear buckets, after HdrHistogram: from 0 to 2^28 with an error of at most 0.4 %, or of 1/16
 * for values below 32. For latencies in µs the range is 268 seconds. Histograms of threads and runs can be added up;
 * quantiles can't.
 */
export class LatencyHistogram {
  #buckets = new Float64Array(0);
  #count = 0;
  #sum = 0;
  #max = 0;

  /**
   * Makes a histogram from the `counts` of one or several. Its mean and largest value are only as exact as the buckets.
   */
  static from(counts: Iterable<Count>): LatencyHistogram {
    const histogram = new LatencyHistogram();
    for (const [value, count] of counts) histogram.record(value, count);
    return histogram;
  }

  get count(): number {
    return this.#count;
  }

  get mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count;
  }

  get max(): number {
    return this.#max;
  }

  /** Records a value. A negative value counts as 0, a value above the range as the end of the range. */
  record(value: number, count = 1): void {
    const index = bucketOf(value);
    if (index >= this.#buckets.length) this.#grow(index);
    this.#buckets[index] = (this.#buckets[index] as number) + count;
    this.#count += count;
    this.#sum += value * count;
    if (value > this.#max) this.#max = value;
  }

  /** Returns the smallest value that at least `part` of all values (0 to 1) doesn't exceed; 0 when there are none. */
  quantile(part: number): number {
    let left = Math.max(1, Math.ceil(part * this.#count));
    if (left >= this.#count) return this.#max;
    for (let index = 0; index < this.#buckets.length; index++) {
      left -= this.#buckets[index] as number;
      if (left <= 0) return Math.min(middleOf(index), this.#max);
    }
    return this.#max;
  }

  /** Adds the values of another histogram. */
  add(other: LatencyHistogram): void {
    if (other.#buckets.length > this.#buckets.length) this.#grow(other.#buckets.length - 1);
    for (let index = 0; index < other.#buckets.length; index++) {
      this.#buckets[index] = (this.#buckets[index] as number) + (other.#buckets[index] as number);
    }
    this.#count += other.#count;
    this.#sum += other.#sum;
    this.#max = Math.max(this.#max, other.#max);
  }

  reset(): void {
    this.#buckets.fill(0);
    this.#count = 0;
    this.#sum = 0;
    this.#max = 0;
  }

  /** Returns the buckets that aren't empty, in the order of their values. */
  counts(): Count[] {
    const counts: Count[] = [];
    this.#buckets.forEach((count, index) => {
      if (count > 0) counts.push([middleOf(index), count]);
    });
    return counts;
  }

  #grow(index: number): void {
    const buckets = new Float64Array(index + 2 * SUB_BUCKETS);
    buckets.set(this.#buckets);
    this.#buckets = buckets;
  }
}

function bucketOf(value: number): number {
  const units = value * UNITS;
  // The negated comparison is also true for NaN.
  if (!(units >= 1)) return 0;
  if (units < 2 * SUB_BUCKETS) return units | 0;
  const whole = units > MAX_UNITS ? MAX_UNITS : units | 0;
  const shift = 31 - Math.clz32(whole) - SUB_BUCKET_BITS;
  return shift * SUB_BUCKETS + (whole >>> shift);
}

/** Returns the value in the middle of a bucket. */
function middleOf(index: number): number {
  if (index < 2 * SUB_BUCKETS) return (index + 0.5) / UNITS;
  const shift = Math.floor(index / SUB_BUCKETS) - 1;
  const first = (index - shift * SUB_BUCKETS) * 2 ** shift;
  return (first + 2 ** shift / 2) / UNITS;
}
