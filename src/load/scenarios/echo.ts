/** The echo scenario. */
import { Payload } from "../payload.ts";
import { Connections } from "./connections.ts";
import { EchoConnection, type EchoHost } from "./echo-connection.ts";
import { Pace } from "./pace.ts";
import type { Scenario, ScenarioHost } from "./scenario.ts";

/** Largest number of frames that leave together in an open loop. */
const MAX_OPEN_LOOP_BURST = 16;

/** Each connection sends messages, checks the replies, and sends again. */
export class Echo implements Scenario {
  readonly #host: ScenarioHost;
  readonly #connections: Connections<EchoConnection>;
  #pace: Pace | undefined;

  constructor(host: ScenarioHost) {
    this.#host = host;
    this.#connections = new Connections(host);
  }

  get outstanding(): number {
    let sum = 0;
    for (const connection of this.#connections) sum += connection.outstanding;
    return sum;
  }

  open(): Promise<void> {
    const { settings, client, tally, connections } = this.#host;
    const inflight = settings.rate === undefined ? settings.inflight : undefined;
    const host: EchoHost = {
      client,
      tally,
      inflight,
      greeting: settings.greeting,
      payload: new Payload(settings, inflight ?? MAX_OPEN_LOOP_BURST),
      ready: (connection) => this.#connections.opened(connection),
      ended: (connection) => this.#connections.ended(connection),
    };
    return this.#connections.openAll(connections, () => new EchoConnection(host));
  }

  start(): void {
    const { settings, connections, tally } = this.#host;
    if (settings.rate === undefined) {
      for (const connection of this.#connections) connection.start();
      return;
    }
    const touched = new Set<EchoConnection>();
    // Connections take turns. The messages of a connection that has ended go to the others.
    let turns = this.#connections[Symbol.iterator]();
    const due = (time: number): void => {
      let turn = turns.next();
      if (turn.done === true) {
        turns = this.#connections[Symbol.iterator]();
        turn = turns.next();
      }
      if (turn.done === true) return;
      turn.value.due(time);
      touched.add(turn.value);
    };
    this.#pace = new Pace((settings.rate * connections) / settings.connections, tally, due, () => {
      for (const connection of touched) connection.flush();
      touched.clear();
    });
    this.#pace.start();
  }

  stop(): void {
    this.#pace?.stop();
    for (const connection of this.#connections) connection.stop();
  }

  close(): void {
    this.#connections.close();
  }
}
