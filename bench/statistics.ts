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

/** A figure of one turn, counted from 1. */
export interface TurnFigure {
  readonly turn: number;
  readonly value: number;
}

/**
 * Divides figures by those of the same turn, because what disturbs the machine in a turn disturbs both. Turns that only
 * one list has are left out.
 */
export function pairRatios(dividends: readonly TurnFigure[], divisors: readonly TurnFigure[]): number[] {
  const byTurn = new Map(divisors.map(({ turn, value }) => [turn, value]));
  return dividends.flatMap(({ turn, value }) => {
    const divisor = byTurn.get(turn);
    return divisor === undefined || divisor === 0 ? [] : [value / divisor];
  });
}

/** Median of several figures, and the ends of its interval: see `intervalOf`. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** Returns the spread. undefined for an empty list. */
export function spreadOf(numbers: readonly number[]): Spread | undefined {
  if (numbers.length === 0) return undefined;
  const [low, high] = intervalOf(numbers);
  return { median: median(numbers), low, high };
}

const CONFIDENCE = 0.95;

/**
 * Returns the ends of the interval in which the true median lies with a confidence of at least 95 %, whatever the
 * distribution of the figures: the order statistics of the sign test (Conover, Practical Nonparametric Statistics,
 * section 3.2). With fewer than nine figures the ends are the least and the greatest, which for fewer than six is less
 * sure than 95 %.
 */
function intervalOf(numbers: readonly number[]): readonly [low: number, high: number] {
  const sorted = numbers.toSorted((a, b) => a - b);
  const count = sorted.length;
  // Each figure is above the true median with a chance of one half. `below` is the chance that at most `cut` figures
  // are.
  let cut = 0;
  let chance = 0.5 ** count;
  let below = chance;
  for (;;) {
    chance *= (count - cut) / (cut + 1);
    if (below + chance > (1 - CONFIDENCE) / 2) break;
    below += chance;
    cut++;
  }
  return [sorted[cut] ?? Number.NaN, sorted[count - 1 - cut] ?? Number.NaN];
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
