/** The set of open connections of a scenario. Echo, fan-out and idle use it. */
import type { LoadConnection } from "./connection.ts";
import type { ScenarioHost } from "./scenario.ts";

/** Largest number of connections that open at the same time. More aren't faster, and overflow the queues of servers. */
const MAX_OPENING = 64;

/** The connections of a scenario that keeps them open. Opens a few at a time, and reports when their number changes. */
export class Connections<C extends LoadConnection> {
  readonly #host: ScenarioHost;
  readonly #open = new Set<C>();
  readonly #opening = new Map<C, () => void>();
  #closing = false;

  constructor(host: ScenarioHost) {
    this.#host = host;
  }

  get size(): number {
    return this.#open.size;
  }

  [Symbol.iterator](): Iterator<C> {
    return this.#open.values();
  }

  /**
   * Opens `count` connections. Resolves when each is open or has failed. The scenario must call `opened` or `ended` for
   * every connection that `create` makes.
   */
  openAll(count: number, create: (index: number) => C): Promise<void> {
    return new Promise((resolve) => {
      let begun = 0;
      let finished = 0;
      const done = (): void => {
        finished++;
        if (finished === count) resolve();
        else if (begun < count) begin();
      };
      const begin = (): void => {
        this.#opening.set(create(begun++), done);
      };
      if (count === 0) resolve();
      while (begun < Math.min(count, MAX_OPENING)) begin();
    });
  }

  opened(connection: C): void {
    this.#open.add(connection);
    this.#host.openChanged(this.#open.size);
    this.#finish(connection);
  }

  ended(connection: C): void {
    if (this.#open.delete(connection) && !this.#closing) this.#host.openChanged(this.#open.size);
    this.#finish(connection);
  }

  close(): void {
    this.#closing = true;
    for (const connection of this.#open) connection.close();
  }

  #finish(connection: C): void {
    this.#opening.get(connection)?.();
    this.#opening.delete(connection);
  }
}
