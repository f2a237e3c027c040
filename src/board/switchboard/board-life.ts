/** The life of a board from its start to its end, and what calls find meanwhile. `Switchboard` has one. */
import { SwitchboardError } from "../../errors.ts";
import type { ShutdownCounts } from "../shard/shutdown.ts";

/**
 * - `open`: the board takes connections.
 * - `closing`: `close` was called.
 * - `ended`: all shards have ended.
 */
export type BoardPhase = "open" | "closing" | "ended";

export class BoardLife {
  #phase: BoardPhase = "open";
  #closed: Promise<ShutdownCounts> | undefined;
  readonly #closing = new AbortController();

  /** Aborted when the board begins to close: ports that are being opened are then given up. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  get isOpen(): boolean {
    return this.#phase === "open";
  }

  /** Throws `ERR_CLOSED` once the board closes. */
  checkOpen(): void {
    if (this.#phase !== "open") throw closedError();
  }

  /** Throws `ERR_CLOSED` once the shards have ended. */
  checkNotEnded(): void {
    if (this.#phase === "ended") throw closedError();
  }

  /** Begins the end with `close`, which is called once and in a later microtask. A second call waits for the first. */
  end(close: () => Promise<ShutdownCounts>): Promise<ShutdownCounts> {
    if (this.#closed === undefined) {
      this.#phase = "closing";
      this.#closed = Promise.resolve().then(close);
      this.#closing.abort(closedError());
    }
    return this.#closed;
  }

  /** All shards have ended. */
  ended(): void {
    this.#phase = "ended";
  }
}

function closedError(): SwitchboardError {
  return new SwitchboardError("ERR_CLOSED", "this board is closed");
}
