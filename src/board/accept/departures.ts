import type { Counters } from "../../runtime/stats/counters.ts";

/**
 * Tells the main thread what left this shard, of all that it was sent: how many by a counter, and whose by a message at the end of the
 * turn, where client addresses are counted.
 */
export class Departures {
  readonly #counters: Counters;
  readonly #tell: (addresses: readonly string[]) => void;
  /** Of sockets and connections; empty where addresses aren't counted. */
  readonly #addresses = new Map<object, string>();
  #gone: string[] = [];

  constructor(counters: Counters, tell: (addresses: readonly string[]) => void) {
    this.#counters = counters;
    this.#tell = tell;
  }

  arrived(who: object, address: string | undefined): void {
    if (address !== undefined) this.#addresses.set(who, address);
  }

  /** It goes on as something else that arrived, or was sent back. */
  forget(who: object): void {
    this.#addresses.delete(who);
  }

  addressOf(who: object): string | undefined {
    return this.#addresses.get(who);
  }

  left(who: object): void {
    this.#counters.add("departed");
    const address = this.#addresses.get(who);
    if (address === undefined) return;
    this.#addresses.delete(who);
    if (this.#gone.push(address) === 1) setImmediate(() => this.#flush());
  }

  #flush(): void {
    const gone = this.#gone;
    this.#gone = [];
    this.#tell(gone);
  }
}
