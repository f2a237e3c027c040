/** Medians, quantiles, ratios and noise of figures. Used by results, thresholds and reports. */

/** A sparse histogram: each latency (µs) with its number of occurrences. */
export type Counts = readonly (readonly [micros: number, count: number])[];

/** Returns the median. NaN for an empty list. */
export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Adds histograms up. Quantiles are read from the sum, because an average of quantiles is no quantile. */
export function mergeCounts(histograms: readonly Counts[]): Counts {
  const merged = new Map<number, number>();
  for (const histogram of histograms) {
    for (const [micros, count] of histogram) merged.set(micros, (merged.get(micros) ?? 0) + count);
  }
  return [...merged].sort(([a], [b]) => a - b);
}

/**
 * Returns the smallest counted latency that at least this share of all observations don't exceed.
 *
 * @param part share from 0 to 1
 * @returns µs; NaN for an empty histogram
 */
export function quantile(counts: Counts, part: number): number {
  const sorted = [...counts].sort(([a], [b]) => a - b);
  const total = sorted.reduce((sum, [, count]) => sum + count, 0);
  const rank = Math.max(1, Math.ceil(part * total));
  let seen = 0;
  for (const [micros, count] of sorted) {
    seen += count;
    if (seen >= rank) return micros;
  }
  return Number.NaN;
}

/** A figure of one round, counted from 1. */
export interface RoundFigure {
  readonly round: number;
  readonly value: number;
}

/**
 * Divides figures by those of the same round, because what disturbs the machine in a round disturbs both. Rounds that
 * only one list has are left out.
 */
export function pairRatios(dividends: readonly RoundFigure[], divisors: readonly RoundFigure[]): number[] {
  const byRound = new Map(divisors.map(({ round, value }) => [round, value]));
  return dividends.flatMap(({ round, value }) => {
    const divisor = byRound.get(round);
    return divisor === undefined || divisor === 0 ? [] : [value / divisor];
  });
}

/** Median, minimum and maximum of several figures. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Returns the spread. undefined for an empty list. */
export function spreadOf(numbers: readonly number[]): Spread | undefined {
  if (numbers.length === 0) return undefined;
  return { median: median(numbers), min: Math.min(...numbers), max: Math.max(...numbers) };
}

/** Factor from the median absolute deviation to the standard deviation, in a normal distribution. */
const MAD_TO_DEVIATION = 1.4826;

/**
 * Estimates the standard deviation of one round, relative to the median, from the median absolute deviation. So a
 * single disturbed round doesn't make every change pass for noise. 0 for fewer than two numbers.
 */
export function noiseOf(numbers: readonly number[]): number {
  if (numbers.length < 2) return 0;
  const middle = median(numbers);
  return (MAD_TO_DEVIATION * median(numbers.map((number) => Math.abs(number - middle)))) / middle;
}
