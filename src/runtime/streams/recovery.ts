/**
 * Decides whether a subscriber that resumes gets everything it missed. The rules are those of Centrifuge, whose clients
 * decide by them, too.
 */
import type { HistoryRead } from "./engine.ts";
import type { Position } from "./position.ts";
import type { StreamRecord } from "./publication.ts";

/** Result of a read for a subscriber that resumes. */
export interface Recovery {
  readonly recovered: boolean;
  /** Everything that was missed, in order; empty unless recovered. */
  readonly records: readonly StreamRecord[];
}

const NOT_RECOVERED: Recovery = { recovered: false, records: [] };

/**
 * Decides over a read of everything after `since.offset`. An empty epoch means any epoch.
 *
 * Recovered is only a chain without a hole: the epoch matches, and either nothing was missed, or the first publication
 * follows the position, each follows the one before, and the last is the top.
 */
export function recover(since: Position, { top, records }: HistoryRead): Recovery {
  if (since.epoch !== "" && since.epoch !== top.epoch) return NOT_RECOVERED;
  let expected = since.offset;
  for (const { offset } of records) {
    if (offset !== ++expected) return NOT_RECOVERED;
  }
  return expected === top.offset ? { recovered: true, records } : NOT_RECOVERED;
}
