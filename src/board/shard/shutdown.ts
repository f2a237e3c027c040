/** The orderly end of a shard: all its connections are closed, and their actors awaited. */
import type { ShutdownTarget } from "../connection/shutdown-target.ts";

/** Settings of a shutdown. Times are in milliseconds. */
export interface ShutdownSettings {
  /**
   * Time for everything. Connections are dropped shortly before its end; handlers that still run at its end are cut.
   */
  readonly timeoutMs: number;
  /** Number of connections that are closed at once. The next batch follows after the interval. */
  readonly batchSize: number;
  readonly batchIntervalMs: number;
  readonly code: number;
  readonly reason: string;
}

/** Result of a shutdown. */
export interface ShutdownCounts {
  /** Connections that were closed with a close handshake. */
  readonly closed: number;
  /** Connections that were dropped without a close handshake, when the time was up. */
  readonly dropped: number;
  /** Actors that weren't done when the time was up: a handler was cut, or `closed` wasn't called. */
  readonly cut: number;
}

/** All connections. Iterating skips those that close meanwhile, and includes new ones. */
export interface ShutdownTargets extends Iterable<ShutdownTarget> {
  readonly size: number;
}

/** Largest part of the time, in milliseconds, that is kept for actors of dropped connections. */
const MAX_RESERVE_MS = 1_000;
/** Fraction of the time that is kept for them at most: one in this many. */
const RESERVED_PART = 5;

/**
 * Closes all connections in order. Every actor is told first; then connections are closed batch by batch. Connections
 * that are left are dropped shortly before the time is up, so that their actors have time for `closed`. The shutdown
 * ends when all connections are closed and all actors are done, or when the time is up.
 */
export class Shutdown {
  readonly #settings: ShutdownSettings;
  readonly #connections: ShutdownTargets;
  /** Returns the number of actors that aren't done, those of connections that closed before included. */
  readonly #runningActors: () => number;
  readonly #done: (counts: ShutdownCounts) => void;
  readonly #dropTimer: NodeJS.Timeout;
  readonly #deadline: NodeJS.Timeout;
  readonly #batches: NodeJS.Timeout;
  /**
   * Connections that aren't closed yet; undefined when no batch is left. Skips those that closed, and includes new
   * ones.
   */
  #waiting: Iterator<ShutdownTarget> | undefined;
  #closed = 0;
  #dropped = 0;
  #dropsAll = false;
  #isTimeUp = false;
  #finished = false;

  constructor(
    connections: ShutdownTargets,
    runningActors: () => number,
    settings: ShutdownSettings,
    done: (counts: ShutdownCounts) => void,
  ) {
    const { timeoutMs } = settings;
    this.#settings = settings;
    this.#connections = connections;
    this.#runningActors = runningActors;
    this.#done = done;
    this.#dropTimer = setTimeout(this.#dropAll, timeoutMs - Math.min(MAX_RESERVE_MS, timeoutMs / RESERVED_PART));
    this.#deadline = setTimeout(this.#cutOff, timeoutMs);
    this.#batches = setInterval(this.#closeBatch, settings.batchIntervalMs);
    for (const connection of connections) connection.announceShutdown();
    this.#waiting = connections[Symbol.iterator]();
    this.#closeBatch();
    this.#finishIfDone();
  }

  /** Takes one more connection, which was still on its way. */
  add(connection: ShutdownTarget): void {
    if (this.#dropsAll) {
      connection.destroy();
      return;
    }
    connection.announceShutdown();
    if (this.#waiting === undefined) this.#close(connection);
  }

  /** @param clean true if the connection ended with a close handshake */
  connectionClosed(clean: boolean): void {
    if (clean) this.#closed++;
    else this.#dropped++;
    this.#finishIfDone();
  }

  /** An actor is done. */
  actorEnded(): void {
    this.#finishIfDone();
  }

  readonly #closeBatch = (): void => {
    for (let closed = 0; closed < this.#settings.batchSize && this.#waiting !== undefined; closed++) {
      const next = this.#waiting.next();
      if (next.done === true) this.#closeNoMoreBatches();
      else this.#close(next.value);
    }
  };

  #close(connection: ShutdownTarget): void {
    connection.closeForShutdown(this.#settings.code, this.#settings.reason);
  }

  readonly #dropAll = (): void => {
    this.#dropsAll = true;
    this.#closeNoMoreBatches();
    for (const connection of this.#connections) connection.destroy();
  };

  readonly #cutOff = (): void => {
    this.#isTimeUp = true;
    this.#finishIfDone();
  };

  #finishIfDone(): void {
    if (this.#connections.size > 0) return;
    if (this.#runningActors() === 0) this.#finish();
    // The last connections may have closed just now: a `closed` that awaits nothing is done by then.
    else if (this.#isTimeUp) setImmediate(() => this.#finish());
  }

  #closeNoMoreBatches(): void {
    this.#waiting = undefined;
    clearInterval(this.#batches);
  }

  #finish(): void {
    // Connections that were still on their way are closed like the others, after the report.
    if (this.#finished) return;
    this.#finished = true;
    this.#closeNoMoreBatches();
    clearTimeout(this.#dropTimer);
    clearTimeout(this.#deadline);
    this.#done({ closed: this.#closed, dropped: this.#dropped, cut: this.#runningActors() });
  }
}
