/** A place in a stream. Subscribers resume from one, and publishers get one. */

/**
 * A place in a stream: after the publication with this offset. The first publication of an epoch has offset 1, and the
 * next ones follow without a gap. A string and an integer, so it survives JSON and `postMessage`.
 */
export interface Position {
  /** Name of one life of the stream. A stream whose offsets can't go on, because they were lost, gets another epoch. */
  readonly epoch: string;
  /** Offset of the last publication before the place; 0 before the first publication. */
  readonly offset: number;
}

/** Length of the longest epoch, in UTF-16 units. */
export const MAX_EPOCH_LENGTH = 64;

/** True if a value, from wherever, has the form of a position. Only the engine can tell whether the place exists. */
export function isPosition(value: unknown): value is Position {
  if (typeof value !== "object" || value === null) return false;
  const { epoch, offset } = value as Partial<Position>;
  if (typeof epoch !== "string" || epoch.length > MAX_EPOCH_LENGTH) return false;
  return Number.isSafeInteger(offset) && Number(offset) >= 0;
}

/** Returns whether two positions are the same place. */
export function samePosition(one: Position, other: Position): boolean {
  return one.epoch === other.epoch && one.offset === other.offset;
}
