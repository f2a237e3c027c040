import type { SubscriberGroup as BusCohort } from "../../runtime/bus/topic-index.ts";
import type { Counters } from "../../runtime/stats/counters.ts";
import type { Frame } from "../../wire/protocol/frame.ts";
import type { FrameChain } from "./frame-chain.ts";

/** A tick's bytes leave early from here on, so that what waits is known by what the peer has taken. */
export const EARLY_FLUSH_BYTES = 64 * 1024;

/**
 * Connections that have had the same frames queued in this tick, with their queue in common: a burst of publishes to all of them is queued
 * once. Who gets anything else, or is flushed, leaves first, and then the others are no longer all.
 */
export class BroadcastGroup implements BusCohort {
  readonly #counters: Counters;
  #queued: FrameChain | undefined;
  size = 0;

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  /** Takes one in with what is queued for it. False if that isn't what is queued for the others. */
  join(queued: FrameChain): boolean {
    this.#queued ??= queued;
    if (queued !== this.#queued) return false;
    this.size++;
    return true;
  }

  /** What is queued for one that has joined. */
  leave(): FrameChain {
    const queued = this.#queued as FrameChain;
    // The topic keeps this until its next publish, which may be never.
    if (--this.size === 0) this.#queued = undefined;
    return queued;
  }

  /** What is queued for each. */
  get queued(): FrameChain {
    return this.#queued as FrameChain;
  }

  append(frame: Frame): boolean {
    const queued = this.#queued as FrameChain;
    const bytes = frame.end - frame.start;
    if (queued.bytes + bytes >= EARLY_FLUSH_BYTES) return false;
    this.#queued = queued.append(frame).share();
    this.#counters.add("messagesSent", this.size);
    this.#counters.add("bytesSent", this.size * bytes);
    return true;
  }
}
