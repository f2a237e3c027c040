/** Reports closed sockets and connections from a shard to the main thread. Used by the shard. */
import type { Counters } from "../../runtime/stats/counters.ts";

/**
 * Counts the sockets and connections that this shard was sent and that have closed, in a counter that the main thread
 * reads. Where clients are counted, it also posts the keys of their clients, once at the end of each turn.
 */
export class ClosedSocketReporter {
  readonly #counters: Counters;
  readonly #tell: (clientKeys: readonly string[]) => void;
  /** Client keys of closed sockets and connections. Empty where clients aren't counted. */
  readonly #clientKeys = new Map<object, string>();
  #gone: string[] = [];

  constructor(counters: Counters, tell: (clientKeys: readonly string[]) => void) {
    this.#counters = counters;
    this.#tell = tell;
  }

  arrived(who: object, clientKey: string | undefined): void {
    if (clientKey !== undefined) this.#clientKeys.set(who, clientKey);
  }

  /** Forgets a socket that became a connection, or that went back to the main thread. */
  forget(who: object): void {
    if (this.#clientKeys.size > 0) this.#clientKeys.delete(who);
  }

  clientKeyOf(who: object): string | undefined {
    return this.#clientKeys.get(who);
  }

  left(who: object): void {
    this.#counters.add("departed");
    const clientKey = this.#clientKeys.size === 0 ? undefined : this.#clientKeys.get(who);
    if (clientKey === undefined) return;
    this.#clientKeys.delete(who);
    if (this.#gone.push(clientKey) === 1) setImmediate(() => this.flush());
  }

  /** Tells at once what the end of the tick would tell. */
  flush(): void {
    if (this.#gone.length === 0) return;
    const gone = this.#gone;
    this.#gone = [];
    this.#tell(gone);
  }
}
