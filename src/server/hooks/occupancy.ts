/**
 * Which channels get their first subscriber and lose their last one, without those that are back at once: a page that
 * is loaded anew leaves its channels and returns a moment later, and the application shouldn't hear of it.
 */
import { DelayLine } from "./delay-line.ts";

/** Time in ms after which a channel counts as vacated. */
export const VACATED_AFTER_MS = 3_000;

/** Channels at most that wait for this time. Beyond it, the one that waits longest is told early. */
const MAX_WAITING = 100_000;

export interface OccupancyOptions {
  /** Default: 3000. */
  readonly vacatedAfterMs?: number | undefined;
  /** Default: 100,000. */
  readonly maxWaiting?: number | undefined;
}

/** Takes each change of a channel in turn, and tells those that last. */
export class Occupancy {
  readonly #tellOccupied: (channel: string) => void;
  readonly #vacated: DelayLine;
  readonly #maxWaiting: number;
  #toldEarly = 0;

  constructor(
    tell: { occupied(channel: string): void; vacated(channel: string): void },
    { vacatedAfterMs = VACATED_AFTER_MS, maxWaiting = MAX_WAITING }: OccupancyOptions = {},
  ) {
    this.#tellOccupied = (channel) => tell.occupied(channel);
    this.#vacated = new DelayLine(vacatedAfterMs, (channel) => tell.vacated(channel));
    this.#maxWaiting = maxWaiting;
  }

  /** Number of vacated channels that aren't told yet. */
  get waiting(): number {
    return this.#vacated.size;
  }

  /** Number of vacated channels that were told early, because too many waited. */
  get toldEarly(): number {
    return this.#toldEarly;
  }

  /** A channel has its first subscriber. Told at once, unless it was vacated a moment ago. */
  occupied(channel: string): void {
    if (!this.#vacated.delete(channel)) this.#tellOccupied(channel);
  }

  /** A channel has lost its last subscriber. Told after a while, unless it is occupied again. */
  vacated(channel: string): void {
    this.#vacated.add(channel);
    if (this.#vacated.size <= this.#maxWaiting) return;
    this.#toldEarly++;
    this.#vacated.expireFirst();
  }

  /** Forgets the vacated channels that aren't told yet, and returns them. */
  takeVacated(): readonly string[] {
    return this.#vacated.takeAll();
  }

  /** Tells all channels that wait, and stops the timer. */
  close(): void {
    this.#vacated.expireAll();
  }
}
