/** All connections of one shard. The shard finds them by address; queries list them page by page. */
import type { Address } from "../../runtime/actor/address.ts";
import type { Connection, Registration } from "../connection/connection.ts";

/** Serials for each millisecond. Serials begin with the time, so that those of the shard's next thread are larger. */
const SERIALS_PER_MS = 1_000;

export interface RegistryEntry {
  readonly connection: Connection;
  /** Serial, larger than those of all connections before. */
  readonly serial: number;
  /** Time of the opening, in milliseconds since 1970. */
  readonly openedAt: number;
}

/** Number of entries of closed connections that always may stay. */
const MAX_SPARE_ENTRIES = 64;

/** The connections of a shard, in the order of their arrival and by address. */
export class ConnectionRegistry implements Iterable<Connection> {
  /** Entries by serial. The entry of a closed connection stays until such entries are half of all. */
  #entries: Registration[] = [];
  #last = 0;
  #size = 0;
  /**
   * Entries by address; undefined until somebody looks an address up. A connection that nobody looks up then pays
   * nothing: V8 interns each string that becomes a key of a `Map`, which took 2 % of the CPU of a connection.
   */
  #index: Map<string, Registration> | undefined;

  get size(): number {
    return this.#size;
  }

  get(address: Address): Connection | undefined {
    return this.#byAddress.get(address)?.connection;
  }

  /** Iterates over the addresses of all connections. */
  *addresses(): Iterable<Address> {
    for (const { address } of this) yield address;
  }

  /** @param openedAt time of the opening, in ms since 1970, of a connection that opened in another shard */
  add(connection: Connection, openedAt?: number): void {
    this.#last = Math.max(this.#last + 1, Date.now() * SERIALS_PER_MS);
    const entry = { connection, serial: this.#last, openedAt };
    connection.registration = entry;
    this.#index?.set(connection.address, entry);
    this.#entries.push(entry);
    this.#size++;
  }

  /** Returns the time of the opening, in ms since 1970; undefined if the connection isn't registered. */
  openedAt({ registration }: Connection): number | undefined {
    return registration && openedAtOf(registration);
  }

  /** Returns true if the connection was registered. */
  delete(connection: Connection): boolean {
    const entry = connection.registration;
    if (entry === undefined) return false;
    connection.registration = undefined;
    // The old table of a `Map` may keep its entries for long.
    entry.connection = undefined;
    this.#index?.delete(connection.address);
    this.#size--;
    if (this.#entries.length > 2 * this.#size + MAX_SPARE_ENTRIES) {
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
      const entry = this.#entries[at] as Registration;
      const { connection, serial } = entry;
      if (connection !== undefined) page.push({ connection, serial, openedAt: openedAtOf(entry) });
    }
    return page;
  }

  /** Iterates over all connections. Connections that close meanwhile are skipped, and new ones are included. */
  *[Symbol.iterator](): Iterator<Connection> {
    let entries = this.#entries;
    let last = 0;
    for (let at = 0; ; at++) {
      if (entries !== this.#entries) {
        entries = this.#entries;
        at = this.#firstFrom(last + 1);
      }
      const entry = entries[at];
      if (entry === undefined) return;
      last = entry.serial;
      if (entry.connection !== undefined) yield entry.connection;
    }
  }

  get #byAddress(): Map<string, Registration> {
    if (this.#index === undefined) {
      this.#index = new Map();
      for (const connection of this) this.#index.set(connection.address, connection.registration as Registration);
    }
    return this.#index;
  }

  /** Returns the index of the first entry whose serial isn't smaller. */
  #firstFrom(serial: number): number {
    let [low, high] = [0, this.#entries.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle] as Registration).serial < serial) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function openedAtOf({ openedAt, serial }: Registration): number {
  return openedAt ?? Math.floor(serial / SERIALS_PER_MS);
}
