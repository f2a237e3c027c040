/**
 * The one write per connection at the end of a tick. Each shard has one queue, and each `Outbound` adds itself.
 */
import { TURN_MS } from "../../../runtime/scheduling/fair-scheduler.ts";
import type { Counters } from "../../../runtime/stats/counters.ts";
import { FrameChain } from "./frame-chain.ts";

/** Number of connections flushed between two looks at the clock. */
const FLUSH_BATCH = 16;

/** A connection with something to write. */
export interface Flushable {
  /** Called at the end of the tick. */
  flushQueued(): void;
}

/**
 * The connections of a shard that have something to write. The queue flushes them together at the end of the tick, one
 * write each. When flushing takes longer than `TURN_MS`, the rest follows at the end of the next tick, before
 * newcomers.
 */
export class FlushQueue {
  readonly #counters: Counters;
  readonly #clock: () => number;
  #members: Flushable[] = [];
  #scheduled = false;
  /** Number of messages that were sent since the counters were told, and their bytes. */
  #sentMessages = 0;
  #sentBytes = 0;
  /** Empty chain from which all chains of this tick begin. */
  root = new FrameChain();

  /** @param clock gives the time in milliseconds */
  constructor(counters: Counters, clock: () => number = () => performance.now()) {
    this.#counters = counters;
    this.#clock = clock;
  }

  add(member: Flushable): void {
    if (!this.#scheduled) this.#schedule();
    this.#members[this.#members.length] = member;
  }

  /**
   * Counts a message that was sent. The counters are told before the messages of the tick are written, because they lie
   * in memory that threads share: to add to them for each message took 7 ns of the 75 ns of an echo.
   */
  countSent(bytes: number): void {
    if (!this.#scheduled) this.#schedule();
    this.#sentMessages++;
    this.#sentBytes += bytes;
  }

  #schedule(): void {
    this.#scheduled = true;
    setImmediate(this.#flush);
  }

  #tellCounters(): void {
    if (this.#sentMessages === 0) return;
    this.#counters.add("messagesSent", this.#sentMessages);
    this.#counters.add("bytesSent", this.#sentBytes);
    this.#sentMessages = 0;
    this.#sentBytes = 0;
  }

  readonly #flush = (): void => {
    this.#scheduled = false;
    this.#tellCounters();
    const members = this.#members;
    this.#members = [];
    let flushed = 0;
    let endsAt: number | undefined;
    while (flushed < members.length) {
      if (flushed >= FLUSH_BATCH && flushed % FLUSH_BATCH === 0) {
        const now = this.#clock();
        endsAt ??= now + TURN_MS;
        if (now >= endsAt) break;
      }
      members[flushed++]?.flushQueued();
    }
    this.root = new FrameChain();
    if (flushed === members.length) return;
    if (!this.#scheduled) this.#schedule();
    this.#members = [...members.slice(flushed), ...this.#members];
  };
}
