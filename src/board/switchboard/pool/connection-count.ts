/** The number of connections of one shard, for placement and limits. `SocketDispatch` owns one. */
import type { Counters } from "../../../runtime/stats/counters.ts";
import type { HandoffResult } from "../../../wire/transport/pending-handoffs.ts";

/**
 * Counts connections in one shard or on their way there, in one life of it: sockets sent or accepted there, minus
 * sockets that have closed. Each number has one writer, so a connection that changes threads is counted exactly once.
 */
export class ConnectionCount {
  readonly #counters: Counters;
  /** Sockets that had closed or moved away before this life, minus those that the shard got without the main thread. */
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
    const counters = this.#counters;
    const left = counters.get("departed") + counters.get("movedOut");
    return left - counters.get("acceptedHere") - counters.get("movedIn");
  }

  /** Counts a connection from the start of its handoff. A connection that doesn't arrive is not counted any more. */
  async follow(handoff: Promise<HandoffResult>, clientKey: string | undefined): Promise<HandoffResult> {
    this.#sent++;
    if (clientKey !== undefined) this.#add(clientKey, 1);
    const result = await handoff;
    if (result.outcome !== "adopted") {
      this.#sent--;
      if (clientKey !== undefined) this.clientLeft(clientKey);
    }
    return result;
  }

  /** A connection of the client has come from another process. */
  clientArrived(clientKey: string): void {
    if (!this.#ended) this.#add(clientKey, 1);
  }

  /** A connection or a handshake of the client has ended in this shard. */
  clientLeft(clientKey: string): void {
    // The clients of a shard that ended were all removed at once.
    if (this.#ended) return;
    this.#add(clientKey, -1);
    this.#clientLeft(clientKey);
  }

  /** A connection of the client is on its way to another shard, whose count takes it over: the client has not left. */
  clientMoved(clientKey: string, to: ConnectionCount | undefined): void {
    this.#add(clientKey, -1);
    if (to === undefined || to.#ended) this.#clientLeft(clientKey);
    else to.#add(clientKey, 1);
  }

  /**
   * The count may be below 0 for a moment: a connection has closed in this shard before the other told that it left.
   */
  #add(clientKey: string, change: 1 | -1): void {
    const count = (this.#clientKeys.get(clientKey) ?? 0) + change;
    if (count === 0) this.#clientKeys.delete(clientKey);
    else this.#clientKeys.set(clientKey, count);
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
