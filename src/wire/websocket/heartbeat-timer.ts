/** The heartbeat of a `WebSocket`, driven by a timer of its own. */
import { Heartbeat, type HeartbeatOptions } from "../protocol/heartbeat.ts";

/** The part of a WebSocket that its heartbeat uses. */
export interface WatchedSocket {
  /** False while the WebSocket doesn't read from its peer. */
  readonly reading: boolean;
  /** Called when the peer counts as gone. */
  destroy(): void;
}

/** Calls for a ping when the peer is silent, and destroys the WebSocket when the silence goes on. */
export class HeartbeatTimer extends Heartbeat {
  readonly #socket: WatchedSocket;
  readonly #ping: () => void;
  #timer: NodeJS.Timeout | undefined;

  /** Starts the timer, unless `pingIntervalMs` is 0. */
  constructor(options: HeartbeatOptions, socket: WatchedSocket, ping: () => void) {
    super(options, performance.now());
    this.#socket = socket;
    this.#ping = ping;
    if (options.pingIntervalMs > 0) this.#beatAfter(options.pingIntervalMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #beatAfter(ms: number): void {
    this.#timer = setTimeout(this.#expired, Math.max(1, ms)).unref();
  }

  readonly #expired = (): void => {
    const beat = this.beat(performance.now(), this.#socket.reading);
    if (beat.verdict === "lost") {
      this.#socket.destroy();
      return;
    }
    if (beat.verdict === "ping") this.#ping();
    this.#beatAfter(beat.againInMs);
  };
}
