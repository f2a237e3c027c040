/**
 * Connections that can't move while the thread of their shard is being replaced. Those whose TLS the thread does go on
 * here, all others are closed in batches. `Shard` has one.
 */
import type { Connection } from "../../connection/connection.ts";
import { Shutdown, type ShutdownSettings } from "../shutdown.ts";
import type { StayerCounts } from "./messages.ts";

export class Stayers {
  readonly #connections: Iterable<Connection> & { readonly size: number };
  /** Connections that are being closed. */
  readonly #leaving = new Set<Connection>();
  #shutdown: Shutdown | undefined;
  /** Called when no connection is left. */
  #emptied: (() => void)[] = [];

  /** @param connections all connections of the shard */
  constructor(connections: Iterable<Connection> & { readonly size: number }) {
    this.#connections = connections;
  }

  /** Closes all connections but those that only this thread can serve. Resolves when the others are gone. */
  close(settings: ShutdownSettings): Promise<StayerCounts> {
    for (const one of this.#connections) if (one.stayReason !== "transport") this.#leaving.add(one);
    return new Promise((resolve) => {
      const done = (closed: number): void => resolve({ closed, kept: this.#connections.size });
      if (this.#leaving.size === 0) {
        done(0);
        return;
      }
      // Actors that are still busy with their `closed` are awaited when the thread ends.
      const noActors = (): number => 0;
      this.#shutdown = new Shutdown(this.#leaving, noActors, settings, ({ closed, dropped }) => done(closed + dropped));
    });
  }

  /** Resolves when no connection is left in the shard. */
  emptied(): Promise<true> {
    return new Promise((resolve) => {
      this.#emptied.push(() => resolve(true));
      this.#checkEmpty();
    });
  }

  /** A connection of the shard has closed, and isn't registered any more. */
  connectionClosed(connection: object, clean: boolean): void {
    if (this.#leaving.size > 0 && this.#leaving.delete(connection as Connection))
      this.#shutdown?.connectionClosed(clean);
    this.#checkEmpty();
  }

  #checkEmpty(): void {
    if (this.#emptied.length === 0 || this.#connections.size > 0) return;
    for (const tell of this.#emptied) tell();
    this.#emptied = [];
  }
}
