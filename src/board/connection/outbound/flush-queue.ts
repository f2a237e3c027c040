/**
 * The one write per connection at the end of a tick. Each shard has one queue, and each `Outbound` adds itself.
 */
import { TURN_MS } from "../../../runtime/scheduling/fair-scheduler.ts";
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
  readonly #clock: () => number;
  #members: Flushable[] = [];
  /** Empty chain from which all chains of this tick begin. */
  root = new FrameChain();

  /** @param clock gives the time in milliseconds */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  add(member: Flushable): void {
    if (this.#members.length === 0) setImmediate(this.#flush);
    this.#members.push(member);
  }

  readonly #flush = (): void => {
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
    if (this.#members.length === 0) setImmediate(this.#flush);
    this.#members = [...members.slice(flushed), ...this.#members];
  };
}
