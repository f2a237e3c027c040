/** All connections of one shard. The shard finds them by address; queries list them page by page. */
import type { Address } from "../../runtime/actor/address.ts";
import type { Connection } from "../connection/connection.ts";

/** Serials for each millisecond. Serials begin with the time, so that those of the shard's next thread are larger. */
const SERIALS_PER_MS = 1_000;

export interface RegistryEntry {
  readonly connection: Connection;
  /** Serial, larger than those of all connections before. */
  readonly serial: number;
  /** Time of the opening, in milliseconds since 1970. */
  readonly openedAt: number;
}

/** The connections of a shard, by address and in the order of their arrival. */
export class ConnectionRegistry implements Iterable<Connection> {
  readonly #byAddress = new Map<string, { readonly connection: Connection; readonly serial: number }>();
  /** Serials in order. The entry of a closed connection stays until such entries are half of all. */
  #serials: number[] = [];
  #connections: (Connection | undefined)[] = [];
  #last = 0;

  get size(): number {
    return this.#byAddress.size;
  }

  get(address: Address): Connection | undefined {
    return this.#byAddress.get(address)?.connection;
  }

  add(connection: Connection): void {
    this.#last = Math.max(this.#last + 1, Date.now() * SERIALS_PER_MS);
    this.#byAddress.set(connection.address, { connection, serial: this.#last });
    this.#serials.push(this.#last);
    this.#connections.push(connection);
  }

  /** Returns true if the connection was registered. */
  delete({ address }: { readonly address: Address }): boolean {
    const entry = this.#byAddress.get(address);
    if (entry === undefined) return false;
    this.#byAddress.delete(address);
    this.#connections[this.#firstFrom(entry.serial)] = undefined;
    if (this.#connections.length > 2 * this.#byAddress.size) this.#compact();
    return true;
  }

  /**
   * Returns the first `limit` connections after a serial. Costs a search and a copy, however many connections there
   * are.
   */
  page(after: number, limit: number): RegistryEntry[] {
    const entries: RegistryEntry[] = [];
    for (let at = this.#firstFrom(after + 1); at < this.#serials.length && entries.length < limit; at++) {
      const connection = this.#connections[at];
      if (connection === undefined) continue;
      const serial = this.#serials[at] as number;
      entries.push({ connection, serial, openedAt: Math.floor(serial / SERIALS_PER_MS) });
    }
    return entries;
  }

  /** Iterates over all connections. Connections that close meanwhile are skipped, and new ones are included. */
  *[Symbol.iterator](): Iterator<Connection> {
    for (const { connection } of this.#byAddress.values()) yield connection;
  }

  /** Returns the index of the first serial that isn't smaller. */
  #firstFrom(serial: number): number {
    let [low, high] = [0, this.#serials.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#serials[middle] as number) < serial) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #compact(): void {
    this.#serials = this.#serials.filter((_, at) => this.#connections[at] !== undefined);
    this.#connections = this.#connections.filter((connection) => connection !== undefined);
  }
}
