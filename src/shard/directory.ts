import type { Address } from "../actor/address.ts";
import type { Connection } from "./connection.ts";

/** The connections of a shard, by address, and in the order in which they came. */
export class Directory implements Iterable<Connection> {
  readonly #byAddress = new Map<string, Connection>();

  get size(): number {
    return this.#byAddress.size;
  }

  get(address: Address): Connection | undefined {
    return this.#byAddress.get(address);
  }

  add(connection: Connection): void {
    this.#byAddress.set(connection.address, connection);
  }

  delete(connection: Connection): void {
    this.#byAddress.delete(connection.address);
  }

  [Symbol.iterator](): Iterator<Connection> {
    return this.#byAddress.values();
  }
}
