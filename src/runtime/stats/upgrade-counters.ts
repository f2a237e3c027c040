/**
 * Counts of upgrades by outcome, in memory that threads share. Part of `Counters`; the main thread has a set of its
 * own.
 */

/** Number of upgrades by outcome since the start. */
export interface UpgradeCounts {
  /** Upgrades whose connection a shard took over. */
  accepted: number;
  /**
   * Upgrades answered with another status than 101, by status. On a port with `tls`, sockets beyond a limit are closed
   * without an answer and counted here.
   */
  refused: Record<number, number>;
  /** Upgrades whose peer left before the answer. */
  abandoned: number;
  /** Handshakes that took longer than `handshakeTimeoutMs`. */
  timedOut: number;
  /**
   * Upgrades closed without an answer: TLS failed, the socket couldn't be moved, its shard ended, or the board closed.
   */
  failed: number;
  /**
   * Upgrades, and accepted sockets without a request, that came too late for this process in a takeover. The process
   * that has taken over has them, and counts them as its own.
   */
  passedOn: number;
}

const outcomes = ["accepted", "abandoned", "timedOut", "failed", "passedOn"] as const;

export type UpgradeOutcome = (typeof outcomes)[number];

const FIRST_STATUS = 300;
const LAST_STATUS = 599;
const SLOTS = outcomes.length + LAST_STATUS - FIRST_STATUS + 1;

/** Bytes of shared memory that `UpgradeCounters` takes. */
export const UPGRADE_COUNTERS_BYTES = SLOTS * Float64Array.BYTES_PER_ELEMENT;

/** A slot for each outcome, and one for each status of a refusal. One thread writes; any thread may read. */
export class UpgradeCounters {
  readonly #values: Float64Array;

  constructor(memory = new SharedArrayBuffer(UPGRADE_COUNTERS_BYTES), byteOffset = 0) {
    this.#values = new Float64Array(memory, byteOffset, SLOTS);
  }

  add(outcome: UpgradeOutcome, amount = 1): void {
    (this.#values[outcomes.indexOf(outcome)] as number) += amount;
  }

  /** @param status from 300 to 599 */
  addRefused(status: number): void {
    (this.#values[outcomes.length + status - FIRST_STATUS] as number)++;
  }

  snapshot(): UpgradeCounts {
    const counts = noUpgrades();
    for (const [slot, outcome] of outcomes.entries()) counts[outcome] = this.#values[slot] as number;
    for (let status = FIRST_STATUS; status <= LAST_STATUS; status++) {
      const count = this.#values[outcomes.length + status - FIRST_STATUS] as number;
      if (count > 0) counts.refused[status] = count;
    }
    return counts;
  }
}

function noUpgrades(): UpgradeCounts {
  return { accepted: 0, refused: {}, abandoned: 0, timedOut: 0, failed: 0, passedOn: 0 };
}

export function sumUpgrades(all: readonly UpgradeCounts[]): UpgradeCounts {
  const sum = noUpgrades();
  for (const counts of all) {
    for (const outcome of outcomes) sum[outcome] += counts[outcome];
    for (const [status, count] of Object.entries(counts.refused)) {
      sum.refused[Number(status)] = (sum.refused[Number(status)] ?? 0) + count;
    }
  }
  return sum;
}
