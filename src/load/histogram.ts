/** Buckets for each doubling: a bucket is at most 1/128 of its values wide. */
const SUB_BUCKETS = 128;
const SUB_BUCKET_BITS = 7;
/** Of a value of 1; below `2 * SUB_BUCKETS` of these, buckets are one wide. */
const UNITS = 8;
const MAX_UNITS = 2 ** 31 - 1;

/** One bucket: a value inside it, and how many were recorded there. */
export type Count = readonly [value: number, count: number];

/**
 * Counts of values in log-linear buckets, after HdrHistogram: from 0 to 2^28 with an error of at most 0.4 % (or 1/16 for values below 32).
 * For latencies in µs that is 268 seconds. Histograms add up over threads and runs, which quantiles don't.
 */
export class Histogram {
  #buckets = new Float64Array(0);
  #count = 0;
  #sum = 0;
  #max = 0;

  /** The histogram of what `counts` gave, possibly of several. The mean and the greatest value are then as exact as the buckets. */
  static from(counts: Iterable<Count>): Histogram {
    const histogram = new Histogram();
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

  /** Negative values count as 0, those over the range as its end. */
  record(value: number, count = 1): void {
    const index = bucketOf(value);
    if (index >= this.#buckets.length) this.#grow(index);
    this.#buckets[index] = (this.#buckets[index] as number) + count;
    this.#count += count;
    this.#sum += value * count;
    if (value > this.#max) this.#max = value;
  }

  /** The smallest value that at least this part of all values doesn't exceed; 0 when there are none. */
  quantile(part: number): number {
    let left = Math.max(1, Math.ceil(part * this.#count));
    if (left >= this.#count) return this.#max;
    for (let index = 0; index < this.#buckets.length; index++) {
      left -= this.#buckets[index] as number;
      if (left <= 0) return Math.min(middleOf(index), this.#max);
    }
    return this.#max;
  }

  add(other: Histogram): void {
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

  /** The buckets that hold something, in the order of their values. */
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
  // Also what isn't a number.
  if (!(units >= 1)) return 0;
  if (units < 2 * SUB_BUCKETS) return units | 0;
  const whole = units > MAX_UNITS ? MAX_UNITS : units | 0;
  const shift = 31 - Math.clz32(whole) - SUB_BUCKET_BITS;
  return shift * SUB_BUCKETS + (whole >>> shift);
}

/** The middle of a bucket. */
function middleOf(index: number): number {
  if (index < 2 * SUB_BUCKETS) return (index + 0.5) / UNITS;
  const shift = Math.floor(index / SUB_BUCKETS) - 1;
  const first = (index - shift * SUB_BUCKETS) * 2 ** shift;
  return (first + 2 ** shift / 2) / UNITS;
}
