import { type EventLoopUtilization, monitorEventLoopDelay, performance } from "node:perf_hooks";

/** What a thread of the load took. */
export interface Effort {
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** Part of the time in which its event loop had something to do, 0 to 1. */
  readonly busy: number;
  /** How late its timers were, in ms: 99 of 100 were less. */
  readonly loopDelayP99Ms: number;
}

const RESOLUTION_MS = 10;

/** Watches the thread that it is made in. */
export class Meter {
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #startedAt = 0;
  #cpu = 0;
  #utilization: EventLoopUtilization | undefined;

  start(): void {
    this.#delay.reset();
    this.#delay.enable();
    this.#startedAt = performance.now();
    this.#cpu = threadCpuMicros();
    this.#utilization = performance.eventLoopUtilization();
  }

  stop(): Effort {
    this.#delay.disable();
    const ms = performance.now() - this.#startedAt;
    return {
      seconds: ms / 1e3,
      cpuSeconds: (threadCpuMicros() - this.#cpu) / 1e6,
      busy: performance.eventLoopUtilization(this.#utilization).utilization,
      loopDelayP99Ms: Math.max(0, this.#delay.percentile(99) / 1e6 - RESOLUTION_MS),
    };
  }
}

/** Node before 23.9 knows only the whole process's. */
function threadCpuMicros(): number {
  const { user, system } = (process.threadCpuUsage ?? process.cpuUsage).call(process);
  return user + system;
}
