/** Notices a blocked event loop. Each shard and each engine thread has a watchdog, unless `shardTimeoutMs` is 0. */
import { Pulse } from "../../../runtime/stats/pulse.ts";
import { builtins } from "../../../wire/node-internals/builtins.ts";

/** Least time that a thread has until its event loop first turns: threads that start together share the cores. */
const START_TIMEOUT_MS = 30_000;
const LONGEST_INTERVAL_MS = 1_000;

export interface WatchdogOptions {
  /** Milliseconds for which the pulse may stand still. */
  readonly timeoutMs: number;
  /** The pulse has stood still for that time. Called once. */
  readonly silent: () => void;
}

/**
 * Watches the pulse of one thread. Only time in which the main thread itself ran counts: after a suspended laptop or a
 * blocked main thread the thread has as much time as before. While a debugger may attach, nothing counts: the thread
 * may stand at a breakpoint.
 */
export class Watchdog {
  readonly pulse: Pulse;
  readonly #options: WatchdogOptions;
  readonly #timer: NodeJS.Timeout;
  #limitMs: number;
  #beats = 0;
  #silentMs = 0;

  constructor(options: WatchdogOptions) {
    const { timeoutMs } = options;
    this.#options = options;
    this.#limitMs = Math.max(timeoutMs, START_TIMEOUT_MS);
    this.pulse = Pulse.create(Math.min(LONGEST_INTERVAL_MS, Math.max(1, Math.floor(timeoutMs / 10))));
    this.#timer = setInterval(this.#check, this.pulse.intervalMs).unref();
  }

  /** Tells that the thread has started: from now on `timeoutMs` alone counts. */
  started(): void {
    this.#limitMs = this.#options.timeoutMs;
    this.#silentMs = 0;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** A check counts as one interval, however late it comes: late timers don't catch up. */
  readonly #check = (): void => {
    const { beats } = this.pulse;
    if (beats !== this.#beats || builtins.inspector.url() !== undefined) {
      this.#beats = beats;
      this.#silentMs = 0;
      return;
    }
    this.#silentMs += this.pulse.intervalMs;
    if (this.#silentMs < this.#limitMs) return;
    this.stop();
    this.#options.silent();
  };
}
