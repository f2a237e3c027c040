/**
 * Samples of a shard's load and memory, once a second. The shard runs it; `Counters` has the results.
 */
import { getHeapStatistics } from "node:v8";
import type { Counters } from "./counters.ts";

const INTERVAL_MS = 1_000;

export interface Buffering {
  readonly bufferedBytes: number;
}

/** Writes event-loop utilization, heap size and buffered bytes into the counters, once a second. */
export class Sampler {
  readonly #counters: Counters;
  readonly #behind: Set<Buffering>;
  readonly #timer: NodeJS.Timeout;
  #last = performance.eventLoopUtilization();

  /** @param behind connections whose bytes wait for their peers; the sampler removes those that no longer have any */
  constructor(counters: Counters, behind: Set<Buffering>) {
    this.#counters = counters;
    this.#behind = behind;
    this.#timer = setInterval(this.#sample, INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  readonly #sample = (): void => {
    const now = performance.eventLoopUtilization();
    this.#counters.set("eventLoopUtilization", performance.eventLoopUtilization(now, this.#last).utilization);
    this.#last = now;
    const { used_heap_size: heap, external_memory: buffers } = getHeapStatistics();
    this.#counters.set("heapUsedBytes", heap);
    this.#counters.set("memoryBytes", heap + buffers);
    this.#counters.set("bufferedBytes", this.#countBuffered());
  };

  #countBuffered(): number {
    let sum = 0;
    for (const outbound of this.#behind) {
      if (outbound.bufferedBytes === 0) this.#behind.delete(outbound);
      sum += outbound.bufferedBytes;
    }
    return sum;
  }
}
