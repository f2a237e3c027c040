import { url as inspectorUrl } from "node:inspector";
import { Pulse } from "../../../runtime/stats/pulse.ts";

/** What a shard may take at least until its event loop turns for the first times: threads that start together share the cores. */
const START_TIMEOUT_MS = 30_000;
const LONGEST_INTERVAL_MS = 1_000;

export interface WatchdogOptions {
  /** How long the pulse may stand still. */
  readonly timeoutMs: number;
  /** It has stood still for so long. Called once. */
  readonly silent: () => void;
}

/**
 * Watches the pulse of one shard. Only time in which the main thread itself ran counts: after a suspended laptop or a blocked main thread a
 * shard has as much time as before. While the process is open to a debugger nothing counts, for a shard may stand at a breakpoint.
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

  /** The shard is up: from now on it has no more time than it was given. */
  started(): void {
    this.#limitMs = this.#options.timeoutMs;
    this.#silentMs = 0;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** However late a check comes, it counts as one interval: timers that are late don't catch up. */
  readonly #check = (): void => {
    const { beats } = this.pulse;
    if (beats !== this.#beats || inspectorUrl() !== undefined) {
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
