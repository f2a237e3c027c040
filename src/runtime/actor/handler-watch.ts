import type { Timed, TimerWheel } from "../scheduling/timer-wheel.ts";
import type { HandlerCall } from "./handler-call.ts";

/** How long one call of a handler may take, in milliseconds; 0: without a limit. */
export interface HandlerLimits {
  /** Limit at any time, from the call on. Default of a board: 0, for a handler may stream or wait as long as its connection lives. */
  readonly handlerTimeoutMs: number;
  /** Limit once the connection has ended, from its end or from the call on, whichever is later. Default of a board: 60,000. */
  readonly handlerTimeoutAfterCloseMs: number;
}

export interface WatchedActor {
  /** The async handler that is under way, if any. */
  readonly handlerCall: HandlerCall | undefined;
  /** Whether the connection has ended. */
  readonly hasEnded: boolean;
  /** The handler that is under way has had its time. */
  handlerTimedOut(limitMs: number): void;
  /** The watch looks at this actor no more. */
  unwatched(): void;
}

/** Number of looks at the busy actors within the shortest limit. */
const LOOKS_PER_LIMIT = 10;
const LONGEST_INTERVAL_MS = 1_000;

/**
 * Finds the handlers of a shard that take longer than they may. One timer looks at all actors that were busy since it looked last, so that
 * neither a message nor a handler costs a timer or a look at the clock. Its time is that of the wheel, which stands still while the thread is
 * blocked: a blocked thread makes no handler late.
 */
export class HandlerWatch implements Timed {
  readonly #wheel: TimerWheel;
  readonly #limits: HandlerLimits;
  readonly #intervalMs: number;
  readonly #actors = new Set<WatchedActor>();
  deadline: number | undefined;

  constructor(wheel: TimerWheel, limits: HandlerLimits) {
    this.#wheel = wheel;
    this.#limits = limits;
    const { handlerTimeoutMs, handlerTimeoutAfterCloseMs } = limits;
    const never = Number.POSITIVE_INFINITY;
    const shortest = Math.min(handlerTimeoutMs || never, handlerTimeoutAfterCloseMs || never);
    this.#intervalMs = Math.min(shortest / LOOKS_PER_LIMIT, LONGEST_INTERVAL_MS);
  }

  /** Number of actors that the watch looks at. */
  get size(): number {
    return this.#actors.size;
  }

  /** Whether a handler that is under way now has any limit. */
  limits(hasEnded: boolean): boolean {
    return this.#limits.handlerTimeoutMs > 0 || (hasEnded && this.#limits.handlerTimeoutAfterCloseMs > 0);
  }

  /** Looks at this actor until it is found idle. */
  add(actor: WatchedActor): void {
    this.#actors.add(actor);
    if (this.deadline === undefined) this.#wheel.schedule(this, this.#intervalMs);
  }

  delete(actor: WatchedActor): void {
    this.#actors.delete(actor);
  }

  /** From the wheel. */
  expired(): void {
    const now = this.#wheel.now * this.#wheel.tickMs;
    for (const actor of this.#actors) {
      const call = actor.handlerCall;
      if (call === undefined) {
        this.#actors.delete(actor);
        actor.unwatched();
        continue;
      }
      const limitMs = this.#limitReached(call, actor.hasEnded, now);
      if (limitMs !== undefined) actor.handlerTimedOut(limitMs);
    }
    if (this.#actors.size > 0) this.#wheel.schedule(this, this.#intervalMs);
  }

  #limitReached(call: HandlerCall, hasEnded: boolean, now: number): number | undefined {
    const { handlerTimeoutMs, handlerTimeoutAfterCloseMs } = this.#limits;
    call.seenAt ??= now;
    if (handlerTimeoutMs > 0 && now - call.seenAt >= handlerTimeoutMs) return handlerTimeoutMs;
    if (!hasEnded || handlerTimeoutAfterCloseMs === 0) return undefined;
    call.seenEndingAt ??= now;
    return now - call.seenEndingAt >= handlerTimeoutAfterCloseMs ? handlerTimeoutAfterCloseMs : undefined;
  }
}
