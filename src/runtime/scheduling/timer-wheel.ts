/**
 * Deadlines of a shard's connections under one timer. Connections use it for heartbeats, close timeouts and rate
 * limits.
 */
import { type Listed, UnorderedList } from "./unordered-list.ts";

/** Something with one deadline at a time. The wheel owns `deadline` and `place`. */
export interface Timed extends Listed {
  /** Tick of the wheel; undefined when nothing is scheduled. */
  deadline: number | undefined;
  expired(): void;
}

const SLOTS = 512;

/**
 * A hashed timing wheel: O(1) to schedule and to cancel. A deadline expires up to two ticks late, never early.
 *
 * The wheel stands still while its thread is blocked. What a peer sent meanwhile hasn't been read, so a silence of that
 * time isn't the peer's.
 *
 * Source: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987), scheme 6.
 */
export class TimerWheel {
  readonly tickMs: number;
  readonly #slots = Array.from({ length: SLOTS }, () => new UnorderedList<Timed>());
  readonly #timer: NodeJS.Timeout;
  #now = 0;
  #stopped = false;

  constructor(tickMs: number) {
    this.tickMs = tickMs;
    this.#timer = setInterval(() => setImmediate(this.#advance), tickMs);
  }

  /** Ticks since the start, without those during which the thread was blocked. */
  get now(): number {
    return this.#now;
  }

  /** Milliseconds since the start, without those during which the thread was blocked. */
  get nowMs(): number {
    return this.#now * this.tickMs;
  }

  schedule(timed: Timed, delayMs: number): void {
    this.cancel(timed);
    timed.deadline = this.#now + Math.max(1, Math.ceil(delayMs / this.tickMs)) + 1;
    this.#slot(timed.deadline).add(timed);
  }

  cancel(timed: Timed): void {
    if (timed.deadline === undefined) return;
    this.#slot(timed.deadline).delete(timed);
    timed.deadline = undefined;
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
  }

  #slot(tick: number): UnorderedList<Timed> {
    return this.#slots[tick % SLOTS] as UnorderedList<Timed>;
  }

  /** Runs after sockets were read, not in the timers phase before: bytes that arrived in time count. */
  readonly #advance = (): void => {
    if (this.#stopped) return;
    const slot = this.#slot(++this.#now);
    // Backwards: the last member, which this loop has already seen, takes the place of one that is deleted, here or by
    // `expired`.
    for (let place = slot.length - 1; place >= 0; place--) {
      const timed = slot.at(place);
      if (timed === undefined || (timed.deadline as number) > this.#now) continue;
      slot.delete(timed);
      timed.deadline = undefined;
      timed.expired();
    }
  };
}
