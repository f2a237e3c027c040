export interface HeartbeatOptions {
  readonly pingIntervalMs: number;
  readonly pongTimeoutMs: number;
}

export interface HeartbeatOwner {
  /** While false, a silent peer is one that we don't read. */
  readonly listening: boolean;
  ping(): void;
  peerLost(): void;
}

/** Finds peers that vanished without a word. Anything heard proves that one is there. */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  readonly #owner: HeartbeatOwner;
  #heardAt = performance.now();
  #awaitsPong = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: HeartbeatOptions, owner: HeartbeatOwner) {
    this.#options = options;
    this.#owner = owner;
    if (options.pingIntervalMs > 0) this.#wait(options.pingIntervalMs);
  }

  heard(): void {
    this.#heardAt = performance.now();
    if (!this.#awaitsPong) return;
    this.#awaitsPong = false;
    this.#wait(this.#options.pingIntervalMs);
  }

  stop(): void {
    this.#awaitsPong = false;
    clearTimeout(this.#timer);
  }

  #wait(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#beat(), Math.max(1, ms)).unref();
  }

  #beat(): void {
    const { pingIntervalMs, pongTimeoutMs } = this.#options;
    if (!this.#owner.listening) {
      this.#awaitsPong = false;
      this.#wait(pingIntervalMs);
      return;
    }
    if (this.#awaitsPong) {
      this.#owner.peerLost();
      return;
    }
    const silentMs = performance.now() - this.#heardAt;
    // Timers may be early by a fraction of a millisecond.
    if (silentMs + 1 < pingIntervalMs) {
      this.#wait(pingIntervalMs - silentMs);
      return;
    }
    this.#awaitsPong = true;
    this.#owner.ping();
    this.#wait(pongTimeoutMs);
  }
}
