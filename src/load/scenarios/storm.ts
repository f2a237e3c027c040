/** The storm scenario. */
import { noop } from "../../wire/protocol/empty.ts";
import { now } from "../clock.ts";
import { Payload } from "../payload.ts";
import { type ConnectionHost, LoadConnection } from "./connection.ts";
import type { Scenario, ScenarioHost } from "./scenario.ts";

/** Pause after a failed connection, so that a server that refuses connections isn't flooded. */
const PAUSE_AFTER_FAILURE_MS = 100;

/**
 * Keeps a number of connections going. Each opens, gets one echo and closes; then the next takes its place, until the
 * total is reached if there is one.
 */
export class Storm implements Scenario {
  readonly #host: ScenarioHost;
  readonly #connections = new Set<StormConnection>();
  /** Connections that this thread makes in all. */
  readonly #total: number;
  #begun = 0;
  #sending = false;

  constructor(host: ScenarioHost) {
    this.#host = host;
    const { before, connections, settings } = host;
    const { total, connections: all } = settings;
    const shareOf = (first: number): number => Math.floor((first * (total ?? 0)) / all);
    this.#total = total === undefined ? Number.POSITIVE_INFINITY : shareOf(before + connections) - shareOf(before);
  }

  get outstanding(): number {
    return this.#connections.size;
  }

  /** Opens one connection, to see whether the server accepts any. */
  open(): Promise<void> {
    const { client, tally, settings, connections } = this.#host;
    const host: ConnectionHost = { client, tally, payload: new Payload(settings, 1), greeting: settings.greeting };
    const next = (ended: () => void): void => {
      const connection = new StormConnection(host, this.#begun++, () => {
        this.#connections.delete(connection);
        ended();
      });
      this.#connections.add(connection);
    };
    this.#next = () => next(this.#ended);
    return new Promise((resolve) => {
      next(() => {
        if (tally.received > 0) this.#host.openChanged(connections);
        resolve();
      });
    });
  }

  start(): void {
    this.#sending = true;
    for (let i = 0; i < this.#host.connections; i++) this.#nextIfAny();
    this.#tellIfSpent();
  }

  stop(): void {
    this.#sending = false;
  }

  close(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  /** Begins the next connection. `open` sets it. */
  #next: () => void = noop;

  readonly #ended = (): void => {
    if (!this.#sending) return;
    this.#nextIfAny();
    this.#tellIfSpent();
  };

  #nextIfAny(): void {
    if (this.#begun < this.#total) this.#next();
  }

  #tellIfSpent(): void {
    if (this.#begun < this.#total || this.#connections.size > 0) return;
    this.#sending = false;
    this.#host.spent();
  }
}

/** One connection of a storm. */
class StormConnection extends LoadConnection {
  readonly #number: number;
  readonly #next: () => void;
  readonly #begunAt = now();
  #asked = false;
  #answered = false;

  constructor(host: ConnectionHost, number: number, next: () => void) {
    super(host);
    this.#number = number;
    this.#next = next;
    this.tally.sent++;
  }

  read(): void {}

  destroy(): void {
    this.client.destroy();
  }

  protected override ready(): void {
    this.#asked = true;
    this.send(this.#number, 1);
  }

  protected override reply(bytes: Buffer, start: number): void {
    if (this.#answered) {
      this.refuse("received a message that answers none of those sent");
      return;
    }
    this.#answered = true;
    const expected = this.#number % this.payload.modulus;
    if (this.payload.counter(bytes, start) === expected && this.payload.matches(bytes, start)) {
      this.tally.received++;
      this.tally.latency.record(now() - this.#begunAt);
    } else {
      this.refuse("a reply differs from what was sent");
    }
    this.close();
  }

  protected override ended(): void {
    if (this.#answered) {
      this.#next();
      return;
    }
    if (this.#asked) this.tally.lost++;
    setTimeout(this.#next, PAUSE_AFTER_FAILURE_MS);
  }
}
