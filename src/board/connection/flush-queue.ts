import { TURN_MS } from "../../runtime/scheduling/fair-scheduler.ts";
import { FrameChain } from "./frame-chain.ts";

/** So many connections are flushed before the time is looked at. */
const FLUSH_BATCH = 16;

/** A member of the queue. */
export interface Flushable {
  /** Called at the end of the tick. */
  flushQueued(): void;
}

/**
 * The connections of a shard that have something to write, flushed together at the end of the tick: one write each. When that takes too
 * long, the rest is flushed at the end of the next, before all others.
 */
export class FlushQueue {
  readonly #clock: () => number;
  #outbounds: Flushable[] = [];
  /** Where the paths of this tick begin. */
  root = new FrameChain();

  /** @param clock in ms */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  add(outbound: Flushable): void {
    if (this.#outbounds.length === 0) setImmediate(this.#flush);
    this.#outbounds.push(outbound);
  }

  readonly #flush = (): void => {
    const outbounds = this.#outbounds;
    this.#outbounds = [];
    let flushed = 0;
    let endsAt: number | undefined;
    for (const outbound of outbounds) {
      if (flushed >= FLUSH_BATCH && flushed % FLUSH_BATCH === 0) {
        const now = this.#clock();
        endsAt ??= now + TURN_MS;
        if (now >= endsAt) break;
      }
      outbound.flushQueued();
      flushed++;
    }
    this.root = new FrameChain();
    if (flushed === outbounds.length) return;
    if (this.#outbounds.length === 0) setImmediate(this.#flush);
    this.#outbounds = [...outbounds.slice(flushed), ...this.#outbounds];
  };
}
