/** The number of connections of one shard, for placement and limits. `ShardHandle` owns one. */
import type { Counters } from "../../../runtime/stats/counters.ts";
import type { HandoffResult } from "../../../wire/transport/pending-handoffs.ts";

/**
 * Counts connections in one shard or on their way there, in one life of it: sockets sent or accepted there, minus
 * sockets that have closed. Each number has one writer, so a connection that changes threads is counted exactly once.
 */
export class ConnectionCount {
  readonly #counters: Counters;
  /** Closed sockets before this life, minus those that the shard had accepted by itself. */
  readonly #goneBefore: number;
  readonly #clientLeft: (clientKey: string) => void;
  /** Clients, where they are counted. */
  readonly #clientKeys = new Map<string, number>();
  #sent = 0;
  #ended = false;

  constructor(counters: Counters, clientLeft: (clientKey: string) => void) {
    this.#counters = counters;
    this.#goneBefore = this.#gone;
    this.#clientLeft = clientLeft;
  }

  get count(): number {
    return this.#ended ? 0 : this.#sent - (this.#gone - this.#goneBefore);
  }

  get #gone(): number {
    return this.#counters.get("departed") - this.#counters.get("acceptedHere");
  }

  /** Counts a connection from the start of its handoff. A connection that doesn't arrive is not counted any more. */
  async follow(handoff: Promise<HandoffResult>, clientKey: string | undefined): Promise<HandoffResult> {
    this.#sent++;
    if (clientKey !== undefined) this.#clientKeys.set(clientKey, (this.#clientKeys.get(clientKey) ?? 0) + 1);
    const result = await handoff;
    if (result.outcome !== "adopted") {
      this.#sent--;
      if (clientKey !== undefined) this.clientLeft(clientKey);
    }
    return result;
  }

  clientLeft(clientKey: string): void {
    const count = this.#clientKeys.get(clientKey);
    // The clients of a shard that ended were all removed at once.
    if (count === undefined) return;
    if (count === 1) this.#clientKeys.delete(clientKey);
    else this.#clientKeys.set(clientKey, count - 1);
    this.#clientLeft(clientKey);
  }

  /** The shard ended, and all its connections with it. */
  end(): void {
    this.#ended = true;
    for (const [clientKey, count] of this.#clientKeys) {
      for (let i = 0; i < count; i++) this.#clientLeft(clientKey);
    }
    this.#clientKeys.clear();
  }
}
