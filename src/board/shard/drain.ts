import type { Drainable } from "../connection/drainable.ts";

/** How all connections of a shard are closed. Times are in milliseconds. */
export interface DrainSettings {
  /** After which what is left is dropped. */
  readonly timeoutMs: number;
  /** How many are closed at once; the next follow after the interval. */
  readonly batch: number;
  readonly batchIntervalMs: number;
  readonly code: number;
  readonly reason: string;
}

/** What became of connections that were closed. */
export interface DrainCounts {
  /** Closed with a close handshake. */
  readonly closed: number;
  /** Dropped without one, when the time was up. */
  readonly dropped: number;
}

/** All there are; iterating skips those that leave meanwhile, and comes to those that are added. */
export interface Drainables extends Iterable<Drainable> {
  readonly size: number;
}

/** The orderly end of all connections: first every actor is told, then they are closed batch by batch, and dropped when the time is up. */
export class Drain {
  readonly #settings: DrainSettings;
  readonly #connections: Drainables;
  readonly #done: (counts: DrainCounts) => void;
  readonly #deadline: NodeJS.Timeout;
  readonly #batches: NodeJS.Timeout;
  /** Those that aren't closed yet; undefined when it is everybody's turn. It skips those that left, and comes to those that were added. */
  #waiting: Iterator<Drainable> | undefined;
  #closed = 0;
  #dropped = 0;
  #cutOff = false;
  #finished = false;

  constructor(connections: Drainables, settings: DrainSettings, done: (counts: DrainCounts) => void) {
    this.#settings = settings;
    this.#connections = connections;
    this.#done = done;
    this.#deadline = setTimeout(this.#dropAll, settings.timeoutMs);
    this.#batches = setInterval(this.#closeBatch, settings.batchIntervalMs);
    for (const connection of connections) connection.drain();
    this.#waiting = connections[Symbol.iterator]();
    this.#closeBatch();
    if (connections.size === 0) this.#finish();
  }

  /** One more, which was still on its way here. */
  add(connection: Drainable): void {
    if (this.#cutOff) {
      connection.destroy();
      return;
    }
    connection.drain();
    if (this.#waiting === undefined) this.#close(connection);
  }

  /**
   * @param remaining how many connections there still are
   * @param clean whether it ended with a close handshake
   */
  connectionClosed(remaining: number, clean: boolean): void {
    if (clean) this.#closed++;
    else this.#dropped++;
    if (remaining === 0) this.#finish();
  }

  readonly #closeBatch = (): void => {
    for (let closed = 0; closed < this.#settings.batch && this.#waiting !== undefined; closed++) {
      const next = this.#waiting.next();
      if (next.done === true) this.#closeNoMoreBatches();
      else this.#close(next.value);
    }
  };

  #close(connection: Drainable): void {
    connection.closeDrained(this.#settings.code, this.#settings.reason);
  }

  readonly #dropAll = (): void => {
    this.#cutOff = true;
    this.#closeNoMoreBatches();
    for (const connection of this.#connections) connection.destroy();
  };

  #closeNoMoreBatches(): void {
    this.#waiting = undefined;
    clearInterval(this.#batches);
  }

  #finish(): void {
    // Connections that were still on their way here are closed like the others, after the report.
    if (this.#finished) return;
    this.#finished = true;
    this.#closeNoMoreBatches();
    clearTimeout(this.#deadline);
    this.#done({ closed: this.#closed, dropped: this.#dropped });
  }
}
