/** The counters of one shard over all its threads. `ShardSlot` has one. */
import { Counters } from "../../../runtime/stats/counters.ts";

/**
 * A thread that is replaced after its death goes on with the counters of the one before. In a reload the new thread has
 * counters of its own, because both threads count for a while.
 */
export class CounterHistory {
  readonly #actors: readonly (string | undefined)[];
  /** Counters of the current thread. */
  current: Counters;
  /** Counters of threads that are being replaced. */
  readonly #retiring = new Set<Counters>();
  /** Totals of threads that were replaced. */
  #past: Counters | undefined;

  /** @param actors names of the board's actor modules */
  constructor(actors: readonly (string | undefined)[]) {
    this.#actors = actors;
    this.current = this.create();
  }

  create(): Counters {
    return new Counters(this.#actors);
  }

  /** Another thread takes the place of the current one, which goes on for a while. */
  replace(counters: Counters): void {
    this.#retiring.add(this.current);
    this.current = counters;
  }

  /** A thread that was replaced has ended. */
  retired(counters: Counters): void {
    if (!this.#retiring.delete(counters)) return;
    this.#past ??= this.create();
    this.#past.absorb(counters);
  }

  /** The sum over all threads. */
  total(): Counters {
    if (this.#past === undefined && this.#retiring.size === 0) return this.current;
    const before = [...(this.#past === undefined ? [] : [this.#past]), ...this.#retiring];
    return Counters.sum([...before, this.current], this.#actors);
  }
}
