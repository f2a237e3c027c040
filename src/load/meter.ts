/** Measures the CPU and event loop of a thread of the load, for the report. */
import { type EventLoopUtilization, monitorEventLoopDelay, performance } from "node:perf_hooks";

/** The cost of one thread of the load. */
export interface Effort {
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** Part of the time in which the thread's event loop was busy, 0 to 1. */
  readonly busy: number;
  /** Delay of the thread's timers, in ms; 99 of 100 were less late. */
  readonly loopDelayP99Ms: number;
}

const RESOLUTION_MS = 10;

/** Measures the thread that creates it, from `start` to `stop`. */
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

/** CPU time of this thread in µs. Node before 23.9 has only the CPU time of the whole process. */
function threadCpuMicros(): number {
  const { user, system } = (process.threadCpuUsage ?? process.cpuUsage).call(process);
  return user + system;
}
