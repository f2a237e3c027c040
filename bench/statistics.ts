/** A sparse histogram: how often each latency (µs) was seen. */
export type Counts = readonly (readonly [micros: number, count: number])[];

/** NaN for no numbers. */
export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** One histogram of all that several have counted: quantiles are read from it, because an average of quantiles is no quantile. */
export function mergeCounts(histograms: readonly Counts[]): Counts {
  const merged = new Map<number, number>();
  for (const histogram of histograms) {
    for (const [micros, count] of histogram) merged.set(micros, (merged.get(micros) ?? 0) + count);
  }
  return [...merged].sort(([a], [b]) => a - b);
}

/**
 * The smallest counted latency that at least this part of all observations don't exceed.
 *
 * @param part from 0 to 1
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

/** A figure of one round. */
export interface RoundFigure {
  readonly round: number;
  readonly value: number;
}

/** One figure divided by the other of the same round: what disturbed the machine then disturbed both. Rounds that only one has are left out. */
export function pairRatios(dividends: readonly RoundFigure[], divisors: readonly RoundFigure[]): number[] {
  const byRound = new Map(divisors.map(({ round, value }) => [round, value]));
  return dividends.flatMap(({ round, value }) => {
    const divisor = byRound.get(round);
    return divisor === undefined || divisor === 0 ? [] : [value / divisor];
  });
}

/** The middle and the ends of some figures. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** undefined for no numbers. */
export function spreadOf(numbers: readonly number[]): Spread | undefined {
  if (numbers.length === 0) return undefined;
  return { median: median(numbers), min: Math.min(...numbers), max: Math.max(...numbers) };
}

/** Makes the median absolute deviation of a normal distribution its standard deviation. */
const MAD_TO_DEVIATION = 1.4826;

/**
 * How far one round is typically from the others, as a part of the median: their median absolute deviation, so that a single disturbed round
 * doesn't make everything pass for noise. 0 for less than two numbers.
 */
export function noiseOf(numbers: readonly number[]): number {
  if (numbers.length < 2) return 0;
  const middle = median(numbers);
  return (MAD_TO_DEVIATION * median(numbers.map((number) => Math.abs(number - middle)))) / middle;
}
