/**
 * The heartbeat of a connection, without sockets and timers. Both drivers of a WebSocket use it: the connection in a shard and the
 * WebSocket in one thread.
 */
export interface HeartbeatOptions {
  /** Milliseconds of silence after which the peer gets a ping. 0: no pings. */
  readonly pingIntervalMs: number;
  /** Milliseconds of silence after a ping at which the peer counts as gone. */
  readonly pongTimeoutMs: number;
}

/** What the driver does now, and in how many milliseconds it calls `beat` again. */
export type Beat = { readonly verdict: "alive" | "ping"; readonly againInMs: number } | { readonly verdict: "lost" };

/** Milliseconds by which a timer of Node may be early. */
const EARLY_MS = 1;

/**
 * Decides whether the peer is still there. Everything that the peer sends proves it, so only a silent peer gets a ping.
 *
 * All times are in milliseconds of one monotonic clock, which the driver chooses.
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #heardAt: number;
  /** When the ping was sent that the peer hasn't answered; undefined if it owes none. */
  #pingedAt: number | undefined;

  constructor(options: HeartbeatOptions, now: number) {
    this.#options = options;
    this.#heardAt = now;
  }

  /** Bytes of the peer arrived, or the peer took bytes that waited for it. */
  heard(now: number): void {
    this.#heardAt = now;
    this.#pingedAt = undefined;
  }

  /**
   * @param reading false while the driver doesn't read from the peer. The peer's silence proves nothing then, so the driver only pings:
   * the write fails when the peer is gone.
   */
  beat(now: number, reading: boolean): Beat {
    const { pingIntervalMs, pongTimeoutMs } = this.#options;
    if (this.#pingedAt !== undefined && reading) {
      const restMs = this.#pingedAt + pongTimeoutMs - now;
      if (restMs < EARLY_MS) return { verdict: "lost" };
      return { verdict: "alive", againInMs: restMs };
    }
    const restMs = this.#heardAt + pingIntervalMs - now;
    if (restMs >= EARLY_MS && reading) return { verdict: "alive", againInMs: restMs };
    this.#pingedAt = now;
    // The answer usually comes at once, and the next silence begins with it.
    return { verdict: "ping", againInMs: Math.min(pongTimeoutMs, pingIntervalMs) };
  }
}
