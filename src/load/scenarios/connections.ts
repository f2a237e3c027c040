import type { LoadConnection } from "./connection.ts";
import type { ScenarioHost } from "./scenario.ts";

/** More at once wouldn't be faster, and would overflow the queues of servers. */
const OPENING_AT_ONCE = 64;

/** The connections of a scenario that keeps them: opened some at a time, told when their number changes. */
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

  /** Resolves when each of `count` is open or has failed. Every connection made must be told of with `opened` or `ended`. */
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
      while (begun < Math.min(count, OPENING_AT_ONCE)) begin();
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
