/** The numbers that both encoders write: all numbers of the schema that a server sends are unsigned. */

/** Turns what isn't a whole number from 0 to 2^53-1 into the nearest one, and NaN into 0: clients read no others. */
export function wholeNumber(value: number): number {
  return value >= 1 ? Math.min(Math.floor(value), Number.MAX_SAFE_INTEGER) : 0;
}
