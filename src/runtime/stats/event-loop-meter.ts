import type { Counters } from "./counters.ts";

/** How often a sample is taken. */
const PERIOD_MS = 100;
/** A sample this old weighs 1/e of what it did. */
const WINDOW_MS = 1_000;

const slots = { delayMs: 0, measuredAtMs: 1 } as const;

/** What a meter and its readers share. */
export function createMeterMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(Object.keys(slots).length * Float64Array.BYTES_PER_ELEMENT);
}

/**
 * Measures by how much the timers of this thread are late, as a mean over the last second or so, each sample weighted by the time that it
 * stands for. `monitorEventLoopDelay` counts a second that was blocked as one sample among many.
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

/** Reads a meter of another thread, which can't say so itself while it is blocked: as if it took a sample now. */
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
  // A reader between two samples has nothing to add.
  if (passedMs < PERIOD_MS) return delayMs;
  const lateMs = passedMs - PERIOD_MS;
  return delayMs + (1 - Math.exp(-passedMs / WINDOW_MS)) * (lateMs - delayMs);
}

/** The same clock in every thread, which nobody sets. */
function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
