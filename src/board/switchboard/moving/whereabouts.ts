/**
 * The places of the connections that have moved away from the shard in their address. `LiveShards` has one
 * `Whereabouts`.
 */
import type { Address } from "../../../runtime/actor/address.ts";
import type { Arrival, Departure } from "../../shard/moving/messages.ts";

/** A connection that isn't where its address says, or is on its way. The two shards of a move report in any order. */
interface Whereabout {
  /** Life of the thread that took the connection last. */
  life: number;
  /** Number of moves of the connection. */
  hops: number;
  /** True once the shard that it left has reported this move. */
  departed: boolean;
  /** True once the shard that took it has reported. */
  arrived: boolean;
  /** True once it has closed there. */
  closed: boolean;
  /** Resolved when the connection has arrived, or is lost. */
  settled: PromiseWithResolvers<void>;
}

export class Whereabouts {
  readonly #byAddress = new Map<Address, Whereabout>();
  /** Entries of connections that haven't arrived. */
  readonly #underWay = new Set<Whereabout>();
  readonly #isHome: (address: Address, life: number) => boolean;

  /** @param isHome returns whether connections with this address are looked for in this thread anyway */
  constructor(isHome: (address: Address, life: number) => boolean) {
    this.#isHome = isHome;
  }

  /** Number of connections that aren't at home, or are on their way. */
  get size(): number {
    return this.#byAddress.size;
  }

  /**
   * Resolves with the life of the thread where the connection is, once it has arrived; undefined: at home, or nowhere.
   */
  async find(address: Address): Promise<number | undefined> {
    for (let place = this.#byAddress.get(address); place !== undefined; place = this.#byAddress.get(address)) {
      if (place.arrived) return place.life;
      await place.settled.promise;
    }
    return undefined;
  }

  /** Resolves when all connections that are on their way now have arrived, or are lost. */
  async allArrived(): Promise<void> {
    await Promise.all(Array.from(this.#underWay, ({ settled }) => settled.promise));
  }

  departed({ address, to, hops }: Departure): void {
    const place = this.#placeOf(address, to, hops);
    if (place === undefined) return;
    place.departed = true;
    this.#settle(address, place);
  }

  arrived({ address, hops }: Arrival, life: number): void {
    const place = this.#placeOf(address, life, hops);
    if (place === undefined) return;
    place.arrived = true;
    this.#settle(address, place);
  }

  /** The connection has closed. Its thread has reported the arrival: without an entry, the connection was at home. */
  closed({ address, hops }: Arrival): void {
    const place = this.#byAddress.get(address);
    if (place?.hops !== hops) return;
    place.closed = true;
    this.#settle(address, place);
  }

  /** A thread has ended, and with it all connections there and on their way to it. */
  lifeEnded(life: number): void {
    for (const [address, place] of this.#byAddress) {
      if (place.life !== life) continue;
      this.#byAddress.delete(address);
      this.#ended(place);
    }
  }

  /** Returns the entry for this move; undefined if a later move is known. */
  #placeOf(address: Address, life: number, hops: number): Whereabout | undefined {
    const before = this.#byAddress.get(address);
    if (before !== undefined && before.hops > hops) return undefined;
    if (before?.hops === hops) return before;
    if (before !== undefined) this.#ended(before);
    const settled = Promise.withResolvers<void>();
    const place = { life, hops, departed: false, arrived: false, closed: false, settled };
    this.#byAddress.set(address, place);
    this.#underWay.add(place);
    return place;
  }

  /** This move is over. */
  #ended(place: Whereabout): void {
    if (this.#underWay.delete(place)) place.settled.resolve();
  }

  #settle(address: Address, place: Whereabout): void {
    const { life, departed, arrived, closed } = place;
    if (arrived) this.#ended(place);
    if (departed && (closed || (arrived && this.#isHome(address, life)))) this.#byAddress.delete(address);
  }
}
