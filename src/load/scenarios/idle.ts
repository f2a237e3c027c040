/** The idle scenario. */
import { Payload } from "../payload.ts";
import { type ConnectionHost, LoadConnection } from "./connection.ts";
import { Connections } from "./connections.ts";
import type { Scenario, ScenarioHost } from "./scenario.ts";

/** Opens connections in steps, with a pause after each step, and holds them. */
export class Idle implements Scenario {
  readonly outstanding = 0;
  readonly #host: ScenarioHost;
  readonly #connections: Connections<IdleConnection>;
  #stopped = false;

  constructor(host: ScenarioHost) {
    this.#host = host;
    this.#connections = new Connections(host);
  }

  async open(): Promise<void> {
    const { settings, client, tally, connections } = this.#host;
    const host: ConnectionHost = { client, tally, payload: new Payload(settings, 1), greeting: settings.greeting };
    // The part of a step that this thread opens.
    const step = Math.max(1, Math.round((settings.step * connections) / settings.connections));
    for (let begun = 0; begun < connections && !this.#stopped; begun += step) {
      const count = Math.min(step, connections - begun);
      await this.#connections.openAll(count, () => new IdleConnection(host, this.#connections));
      this.#host.stepReached(this.#connections.size);
      if (begun + count < connections) await new Promise((resolve) => setTimeout(resolve, settings.warmup * 1e3));
    }
  }

  /** Does nothing: idle connections send no messages. */
  start(): void {}

  stop(): void {
    this.#stopped = true;
  }

  close(): void {
    this.#connections.close();
  }
}

class IdleConnection extends LoadConnection {
  readonly #connections: Connections<IdleConnection>;

  constructor(host: ConnectionHost, connections: Connections<IdleConnection>) {
    super(host);
    this.#connections = connections;
  }

  read(): void {}

  protected override ready(): void {
    this.#connections.opened(this);
  }

  /** Counts any message as received: idle connections ask for nothing, so no message can be wrong. */
  protected override unexpected(): void {
    this.tally.received++;
  }

  protected override reply(): void {
    this.tally.received++;
  }

  protected override ended(): void {
    this.#connections.ended(this);
  }
}
