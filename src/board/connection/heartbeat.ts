import type { TimerWheel } from "../../runtime/scheduling/timer-wheel.ts";

export interface HeartbeatOptions {
  /** Silence after which a peer is pinged; 0 for never. */
  readonly pingIntervalMs: number;
  /** Silence after a ping at which it is given up. */
  readonly pongTimeoutMs: number;
}

/** What to do about a peer now, and when to ask again. */
export type Beat = { readonly verdict: "alive" | "ping"; readonly againInMs: number } | { readonly verdict: "lost" };

/** Whether a peer is still there. Anything that it sends says so, so only the silent are pinged. */
export class Heartbeat {
  readonly #wheel: TimerWheel;
  readonly #options: HeartbeatOptions;
  /** Tick of the wheel at which the peer was last heard. */
  #heardAt: number;
  #awaitsPong = false;

  constructor(wheel: TimerWheel, options: HeartbeatOptions) {
    this.#wheel = wheel;
    this.#options = options;
    this.#heardAt = wheel.now;
  }

  heard(): void {
    this.#heardAt = this.#wheel.now;
    this.#awaitsPong = false;
  }

  /** @param listening false while the peer isn't read: then its silence says nothing, and only a failing ping tells that it is gone */
  beat(listening: boolean): Beat {
    const { pingIntervalMs, pongTimeoutMs } = this.#options;
    if (this.#awaitsPong && listening) return { verdict: "lost" };
    const silentMs = (this.#wheel.now - this.#heardAt) * this.#wheel.tickMs;
    this.#awaitsPong = silentMs >= pingIntervalMs || !listening;
    if (this.#awaitsPong) return { verdict: "ping", againInMs: pongTimeoutMs };
    return { verdict: "alive", againInMs: pingIntervalMs - silentMs };
  }
}
