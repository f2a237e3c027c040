/**
 * The shared queue of all subscribers of a topic. The bus appends a publish to the group instead of to each member.
 */
import type { SubscriberGroup } from "../../../runtime/bus/audience.ts";
import type { Counters } from "../../../runtime/stats/counters.ts";
import type { Frame } from "../../../wire/protocol/frame.ts";
import type { FrameChain } from "./frame-chain.ts";

/** Number of queued bytes at which a connection is flushed before the tick ends, so that backpressure shows early. */
export const EARLY_FLUSH_BYTES = 64 * 1024;

/**
 * Connections with the same frames queued in this tick. The group holds the queue for all members, so a publish to
 * every member is queued once. A connection that is sent anything else, or is flushed, first leaves the group. From
 * then on the group no longer covers every subscriber, and a publish falls back to per-connection delivery.
 */
export class BroadcastGroup implements SubscriberGroup {
  readonly #counters: Counters;
  #queued: FrameChain | undefined;
  size = 0;

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  /** Adds a connection with its queue. Returns false if the other members have another queue. */
  join(queued: FrameChain): boolean {
    this.#queued ??= queued;
    if (queued !== this.#queued) return false;
    this.size++;
    return true;
  }

  /** Removes one member and returns its queue. */
  leave(): FrameChain {
    const queued = this.#queued as FrameChain;
    // The topic keeps the group until its next publish, which may never come.
    if (--this.size === 0) this.#queued = undefined;
    return queued;
  }

  /** Queue of every member. Valid while the group has members. */
  get queued(): FrameChain {
    return this.#queued as FrameChain;
  }

  /** Queues a frame for every member. Returns false if the queue would reach `EARLY_FLUSH_BYTES`. */
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
