/**
 * The heartbeat of a connection, without sockets and timers. Two drivers use it: the connection in a shard and the
 * WebSocket in one thread.
 */

export interface HeartbeatOptions {
  /** Silence after which the peer gets a ping, in milliseconds. 0: no pings. */
  readonly pingIntervalMs: number;
  /** Silence after a ping after which the peer counts as gone, in milliseconds. */
  readonly pongTimeoutMs: number;
}

/**
 * The verdict on the peer: `ping` asks the driver to send one. `againInMs` is the time until the next call of `beat`.
 */
export type Beat = { readonly verdict: "alive" | "ping"; readonly againInMs: number } | { readonly verdict: "lost" };

/** The heartbeat of a connection, as ages in milliseconds. */
export interface HeartbeatState {
  /** Time since the peer was heard. */
  readonly heardMs: number;
  /** Time since the ping that isn't answered; undefined if there is none. */
  readonly pingedMs: number | undefined;
}

/** Time by which a timer of Node may be early, in milliseconds. */
const EARLY_MS = 1;

/**
 * Decides whether the peer is still there. Any bytes of the peer prove it, so only a silent peer gets a ping.
 *
 * All times are in milliseconds of one monotonic clock, which the driver chooses.
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #heardAt: number;
  /** Time of the ping that the peer hasn't answered; undefined if there is none. */
  #pingedAt: number | undefined;

  constructor(options: HeartbeatOptions, now: number) {
    this.#options = options;
    this.#heardAt = now;
  }

  /** Takes the state out, for `load` of another heartbeat. */
  save(now: number): HeartbeatState {
    return { heardMs: now - this.#heardAt, pingedMs: this.#pingedAt === undefined ? undefined : now - this.#pingedAt };
  }

  /** Goes on where another heartbeat was saved. Returns the time until the next call of `beat`, in ms. */
  load({ heardMs, pingedMs }: HeartbeatState, now: number): number {
    this.#heardAt = now - heardMs;
    this.#pingedAt = pingedMs === undefined ? undefined : now - pingedMs;
    const { pingIntervalMs, pongTimeoutMs } = this.#options;
    return Math.max(0, pingedMs === undefined ? pingIntervalMs - heardMs : pongTimeoutMs - pingedMs);
  }

  /** Records that bytes of the peer arrived, or that the peer took bytes that waited for it. */
  heard(now: number): void {
    this.#heardAt = now;
    this.#pingedAt = undefined;
  }

  /**
   * Returns the verdict at the time `now`.
   *
   * @param reading false while the driver doesn't read from the peer. The peer's silence then proves nothing, so the
   * driver only pings: the write fails when the peer is gone.
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
    // The answer usually comes at once, and the next silence begins with the answer.
    return { verdict: "ping", againInMs: Math.min(pongTimeoutMs, pingIntervalMs) };
  }
}
