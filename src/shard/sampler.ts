import { getHeapStatistics } from "node:v8";
import type { Counters } from "./counters.ts";

const INTERVAL_MS = 1_000;

/** Writes down once a second how the thread itself is doing. */
export class Sampler {
  readonly #counters: Counters;
  readonly #timer: NodeJS.Timeout;
  #last = performance.eventLoopUtilization();

  constructor(counters: Counters) {
    this.#counters = counters;
    this.#timer = setInterval(this.#sample, INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  readonly #sample = (): void => {
    const now = performance.eventLoopUtilization();
    this.#counters.set("eventLoopUtilization", performance.eventLoopUtilization(now, this.#last).utilization);
    this.#last = now;
    this.#counters.set("heapUsedBytes", getHeapStatistics().used_heap_size);
  };
}
