import type { Counters } from "../../../runtime/stats/counters.ts";
import type { HandoffResult } from "../../../wire/transport/pending-handoffs.ts";

/**
 * How many are in one shard or on their way there, in one life of it: all that were sent, or accepted there, less those that left. Each
 * number has one writer, so that none is counted twice or not at all while it changes threads.
 */
export class Occupancy {
  readonly #counters: Counters;
  /** What had departed before this life, less what the shard had accepted by itself. */
  readonly #goneBefore: number;
  readonly #addressLeft: (address: string) => void;
  /** Client addresses, where they are counted. */
  readonly #addresses = new Map<string, number>();
  #sent = 0;
  #ended = false;

  constructor(counters: Counters, addressLeft: (address: string) => void) {
    this.#counters = counters;
    this.#goneBefore = this.#gone;
    this.#addressLeft = addressLeft;
  }

  get count(): number {
    return this.#ended ? 0 : this.#sent - (this.#gone - this.#goneBefore);
  }

  get #gone(): number {
    return this.#counters.get("departed") - this.#counters.get("acceptedHere");
  }

  /** Counts one from the call on that begins its handoff; one that doesn't arrive, no longer. */
  async follow(handoff: Promise<HandoffResult>, address: string | undefined): Promise<HandoffResult> {
    this.#sent++;
    if (address !== undefined) this.#addresses.set(address, (this.#addresses.get(address) ?? 0) + 1);
    const result = await handoff;
    if (result.outcome !== "adopted") {
      this.#sent--;
      if (address !== undefined) this.addressLeft(address);
    }
    return result;
  }

  addressLeft(address: string): void {
    const count = this.#addresses.get(address);
    // Those of a shard that ended left together.
    if (count === undefined) return;
    if (count === 1) this.#addresses.delete(address);
    else this.#addresses.set(address, count - 1);
    this.#addressLeft(address);
  }

  /** The shard ended, and all in it. */
  end(): void {
    this.#ended = true;
    for (const [address, count] of this.#addresses) {
      for (let i = 0; i < count; i++) this.#addressLeft(address);
    }
    this.#addresses.clear();
  }
}
