/**
 * Measures the delay of a shard's timers. The shard measures; the main thread reads it for placement, also while the
 * shard is blocked.
 */
import type { Counters } from "./counters.ts";

/** Milliseconds between two samples. */
const PERIOD_MS = 100;
/** Age in milliseconds at which a sample weighs 1/e of its first weight. */
const WINDOW_MS = 1_000;

const slots = { delayMs: 0, measuredAtMs: 1 } as const;

/** Memory that a meter and its readers share. */
export function createMeterMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(Object.keys(slots).length * Float64Array.BYTES_PER_ELEMENT);
}

/**
 * Measures how late the timers of this thread are, as a mean over about the last second. Each sample is weighted by the
 * time that it stands for; Node's `monitorEventLoopDelay` would count a blocked second as one sample among many.
 */
export class EventLoopMeter {
  readonly #memory: Float64Array;
  readonly #counters: Counters;
  #timer: NodeJS.Timeout | undefined;

  constructor(memory: SharedArrayBuffer, counters: Counters) {
    this.#memory = new Float64Array(memory);
    this.#counters = counters;
    this.#counters.set("eventLoopDelayMs", 0);
  }

  start(): void {
    this.#memory[slots.measuredAtMs] = nowMs();
    this.#timer = setInterval(() => this.#sample(), PERIOD_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #sample(): void {
    const now = nowMs();
    const delayMs = meanAt(this.#memory, now);
    this.#memory[slots.delayMs] = delayMs;
    this.#memory[slots.measuredAtMs] = now;
    this.#counters.set("eventLoopDelayMs", delayMs);
  }
}

/** Reads the meter of another thread as if that thread took a sample now: a blocked thread can't take one itself. */
export class EventLoopReader {
  readonly #memory: Float64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#memory = new Float64Array(memory);
  }

  get delayMs(): number {
    if (this.#memory[slots.measuredAtMs] === 0) return 0;
    return meanAt(this.#memory, nowMs());
  }
}

function meanAt(memory: Float64Array, now: number): number {
  const delayMs = memory[slots.delayMs] as number;
  const passedMs = now - (memory[slots.measuredAtMs] as number);
  // Between two samples there is nothing to add.
  if (passedMs < PERIOD_MS) return delayMs;
  const lateMs = passedMs - PERIOD_MS;
  return delayMs + (1 - Math.exp(-passedMs / WINDOW_MS)) * (lateMs - delayMs);
}

/** Milliseconds of the monotonic clock that all threads share. */
function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
