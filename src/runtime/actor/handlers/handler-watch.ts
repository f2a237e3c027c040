/** Finds handlers that take too long. A shard has one watch for all its actors. */
import type { Timed, TimerWheel } from "../../scheduling/timer-wheel.ts";
import type { HandlerCall } from "./handler-call.ts";

/** Limits of one call of a handler, in milliseconds. 0: no limit. */
export interface HandlerLimits {
  /**
   * Limit at any time, from the call on. Default of a board: 0, because a handler may stream or wait as long as its
   * connection lives.
   */
  readonly handlerTimeoutMs: number;
  /**
   * Limit once the connection has ended, from that end or from the call, whichever is later. Default of a board:
   * 60,000.
   */
  readonly handlerTimeoutAfterCloseMs: number;
}

export interface WatchedActor {
  /** Async handler that is running, if any. */
  readonly handlerCall: HandlerCall | undefined;
  /** True once the connection has ended. */
  readonly hasEnded: boolean;
  /** The running handler has reached its limit. */
  handlerTimedOut(limitMs: number): void;
  /** The watch no longer looks at this actor. */
  unwatched(): void;
}

/** Number of looks at the busy actors within the shortest limit. */
const LOOKS_PER_LIMIT = 10;
const LONGEST_INTERVAL_MS = 1_000;

/**
 * Finds the handlers of a shard that take longer than their limit. One timer looks at all actors that were busy since
 * the last look, so that neither a message nor a handler costs a timer or a look at the clock. Time is that of the
 * wheel, which stands still while the thread is blocked: a blocked thread makes no handler late.
 */
export class HandlerWatch implements Timed {
  readonly #wheel: TimerWheel;
  readonly #limits: HandlerLimits;
  readonly #intervalMs: number;
  readonly #actors = new Set<WatchedActor>();
  deadline: number | undefined;
  place = -1;

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

  /** True if a handler that runs now has a limit. */
  limits(hasEnded: boolean): boolean {
    return this.#limits.handlerTimeoutMs > 0 || (hasEnded && this.#limits.handlerTimeoutAfterCloseMs > 0);
  }

  /** Looks at this actor until the actor is idle. */
  add(actor: WatchedActor): void {
    this.#actors.add(actor);
    if (this.deadline === undefined) this.#wheel.schedule(this, this.#intervalMs);
  }

  delete(actor: WatchedActor): void {
    this.#actors.delete(actor);
  }

  /** Called by the wheel. */
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
