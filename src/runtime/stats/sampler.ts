import { getHeapStatistics } from "node:v8";
import type { Counters } from "./counters.ts";

const INTERVAL_MS = 1_000;

export interface Buffering {
  readonly bufferedBytes: number;
}

/** Writes down once a second how the thread itself is doing. */
export class Sampler {
  readonly #counters: Counters;
  readonly #behind: Set<Buffering>;
  readonly #timer: NodeJS.Timeout;
  #last = performance.eventLoopUtilization();

  /** @param behind those that wait for their peer */
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
    this.#counters.set("heapUsedBytes", getHeapStatistics().used_heap_size);
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
