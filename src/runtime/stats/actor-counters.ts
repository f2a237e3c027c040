/**
 * Counts of each actor module of a board, in memory that threads share. Part of `Counters`: the other counters are sums
 * over all modules.
 */

const gauges = ["connections"] as const;

const totals = ["connectionsOpened", "failures", "handlerTimeouts"] as const;

const names = [...gauges, ...totals];

type ActorCounterName = (typeof names)[number];

/** Counts of one actor module in one shard. */
export interface ActorCounts {
  /** Name of the actor module, of the option `actors`; undefined for the default module. */
  readonly actor: string | undefined;
  /** Number of open connections. */
  readonly connections: number;
  /** Connections opened. */
  readonly connectionsOpened: number;
  /** Handlers that threw or rejected. */
  readonly failures: number;
  /** Handlers that were given up because they took too long. */
  readonly handlerTimeouts: number;
}

/** Returns the bytes of shared memory that `ActorCounters` takes for a number of modules. */
export function actorCountersBytes(modules: number): number {
  return modules * names.length * Float64Array.BYTES_PER_ELEMENT;
}

/** Counts of connections and failures by actor module. One thread writes; any thread may read. */
export class ActorCounters {
  readonly #values: Float64Array;
  readonly #firstSlots: ReadonlyMap<string | undefined, number>;
  /** The module that was counted last, and its first slot: a shard mostly counts for one module. */
  #last: string | undefined;
  #lastFirst: number | undefined;

  /** @param actors names of the modules, in the same order in all threads */
  constructor(actors: readonly (string | undefined)[], memory: SharedArrayBuffer, byteOffset: number) {
    this.#values = new Float64Array(memory, byteOffset, actors.length * names.length);
    this.#firstSlots = new Map(actors.map((actor, index) => [actor, index * names.length]));
    this.#lastFirst = this.#firstSlots.get(undefined);
  }

  /** Adds to a count of a module. A module that isn't known is not counted. */
  add(actor: string | undefined, name: ActorCounterName, amount = 1): void {
    if (actor !== this.#last) {
      this.#last = actor;
      this.#lastFirst = this.#firstSlots.get(actor);
    }
    const first = this.#lastFirst;
    if (first !== undefined) (this.#values[first + names.indexOf(name)] as number) += amount;
  }

  /** Sets all gauges to 0, for a new thread in the place of one that ended. */
  clearGauges(): void {
    for (const first of this.#firstSlots.values()) {
      for (const name of gauges) this.#values[first + names.indexOf(name)] = 0;
    }
  }

  /** Returns the counts of all modules, in their order. */
  snapshot(): readonly ActorCounts[] {
    return Array.from(this.#firstSlots, ([actor, first]) => {
      const counts = names.map((name, slot) => [name, this.#values[first + slot] as number]);
      return { actor, ...(Object.fromEntries(counts) as Record<ActorCounterName, number>) };
    });
  }
}
