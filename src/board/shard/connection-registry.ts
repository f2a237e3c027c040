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

/** A connection that is registered, or was. */
interface Entry {
  /** Undefined once the connection was deleted: the old table of a `Map` may keep its entries for long. */
  connection: Connection | undefined;
  readonly serial: number;
  /** Set for a connection that opened in another shard; the serial of all others tells. */
  readonly openedAt: number | undefined;
}

/** Number of entries of closed connections that always may stay. */
const MAX_SPARE_ENTRIES = 64;

/** The connections of a shard, by address and in the order of their arrival. */
export class ConnectionRegistry implements Iterable<Connection> {
  readonly #byAddress = new Map<string, Entry>();
  /** Entries by serial. The entry of a closed connection stays until such entries are half of all. */
  #entries: Entry[] = [];
  #last = 0;

  get size(): number {
    return this.#byAddress.size;
  }

  get(address: Address): Connection | undefined {
    return this.#byAddress.get(address)?.connection;
  }

  /** Iterates over the addresses of all connections. */
  addresses(): Iterable<Address> {
    return this.#byAddress.keys() as Iterable<Address>;
  }

  /** @param openedAt time of the opening, in ms since 1970, of a connection that opened in another shard */
  add(connection: Connection, openedAt?: number): void {
    this.#last = Math.max(this.#last + 1, Date.now() * SERIALS_PER_MS);
    const entry = { connection, serial: this.#last, openedAt };
    this.#byAddress.set(connection.address, entry);
    this.#entries.push(entry);
  }

  /** Returns the time of the opening, in ms since 1970; undefined if the connection isn't registered. */
  openedAt({ address }: { readonly address: Address }): number | undefined {
    const entry = this.#byAddress.get(address);
    return entry && openedAtOf(entry);
  }

  /** Returns true if the connection was registered. */
  delete({ address }: { readonly address: Address }): boolean {
    const entry = this.#byAddress.get(address);
    if (entry === undefined) return false;
    this.#byAddress.delete(address);
    entry.connection = undefined;
    if (this.#entries.length > 2 * this.#byAddress.size + MAX_SPARE_ENTRIES) {
      this.#entries = this.#entries.filter((one) => one.connection !== undefined);
    }
    return true;
  }

  /**
   * Returns the first `limit` connections after a serial. Costs a search and a copy, however many connections there
   * are.
   */
  page(after: number, limit: number): RegistryEntry[] {
    const page: RegistryEntry[] = [];
    for (let at = this.#firstFrom(after + 1); at < this.#entries.length && page.length < limit; at++) {
      const entry = this.#entries[at] as Entry;
      const { connection, serial } = entry;
      if (connection !== undefined) page.push({ connection, serial, openedAt: openedAtOf(entry) });
    }
    return page;
  }

  /** Iterates over all connections. Connections that close meanwhile are skipped, and new ones are included. */
  *[Symbol.iterator](): Iterator<Connection> {
    for (const { connection } of this.#byAddress.values()) if (connection !== undefined) yield connection;
  }

  /** Returns the index of the first entry whose serial isn't smaller. */
  #firstFrom(serial: number): number {
    let [low, high] = [0, this.#entries.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle] as Entry).serial < serial) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function openedAtOf({ openedAt, serial }: Entry): number {
  return openedAt ?? Math.floor(serial / SERIALS_PER_MS);
}
