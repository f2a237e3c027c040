/** Tells the main thread about the moves of a shard, in one message for each tick. `Mover` has one. */
import type { Arrival, Departure, MovesReport } from "./messages.ts";

export class MoveReports {
  readonly #tell: (report: MovesReport) => void;
  #departed: Departure[] = [];
  #arrived: Arrival[] = [];
  #closed: Arrival[] = [];
  #scheduled = false;

  constructor(tell: (report: MovesReport) => void) {
    this.#tell = tell;
  }

  departed(departure: Departure): void {
    this.#departed.push(departure);
    this.#schedule();
  }

  arrived(arrival: Arrival): void {
    this.#arrived.push(arrival);
    this.#schedule();
  }

  closed(arrival: Arrival): void {
    this.#closed.push(arrival);
    this.#schedule();
  }

  /** Tells at once what waits: before an answer that the main thread could not understand without. */
  readonly flush = (): void => {
    this.#scheduled = false;
    if (this.#departed.length + this.#arrived.length + this.#closed.length === 0) return;
    this.#tell({ kind: "moves", departed: this.#departed, arrived: this.#arrived, closed: this.#closed });
    this.#departed = [];
    this.#arrived = [];
    this.#closed = [];
  };

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.flush);
  }
}
