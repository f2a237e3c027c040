import { now } from "../clock.ts";
import { Payload } from "../payload.ts";
import { Schedule } from "../schedule.ts";
import { EchoConnection, type EchoHost } from "./echo-connection.ts";
import { openAll } from "./opening.ts";
import type { Scenario, ScenarioHost } from "./scenario.ts";

/** Frames that leave together in an open loop. */
const OPEN_LOOP_BURST = 16;

/** Every connection for itself: sends, checks the reply, sends again. */
export class Echo implements Scenario {
  readonly #host: ScenarioHost;
  readonly #schedule: Schedule | undefined;
  #connections: EchoConnection[] = [];
  #turn = 0;
  #timer: NodeJS.Timeout | undefined;
  #closing = false;

  constructor(host: ScenarioHost) {
    this.#host = host;
    const { rate, connections } = host.settings;
    if (rate !== undefined) this.#schedule = new Schedule((rate * host.connections) / connections);
  }

  get outstanding(): number {
    return this.#connections.reduce((sum, connection) => sum + connection.outstanding, 0);
  }

  open(): Promise<void> {
    const { settings, client, tally, connections } = this.#host;
    const inflight = settings.rate === undefined ? settings.inflight : undefined;
    const payload = new Payload(settings, inflight ?? OPEN_LOOP_BURST);
    const opening = new Map<EchoConnection, () => void>();
    const finish = (connection: EchoConnection): void => {
      opening.get(connection)?.();
      opening.delete(connection);
    };
    const host: EchoHost = {
      ...{ client, payload, tally, inflight, greeting: settings.greeting },
      ready: (connection) => {
        this.#connections.push(connection);
        this.#host.openChanged(this.#connections.length);
        finish(connection);
      },
      ended: (connection) => {
        this.#connections = this.#connections.filter((one) => one !== connection);
        if (!this.#closing) this.#host.openChanged(this.#connections.length);
        finish(connection);
      },
    };
    return openAll(connections, (_index, done) => opening.set(new EchoConnection(host), done));
  }

  start(): void {
    if (this.#schedule === undefined) {
      for (const connection of this.#connections) connection.start();
      return;
    }
    this.#schedule.begin(now());
    this.#tick(this.#schedule);
  }

  stop(): void {
    clearTimeout(this.#timer);
    for (const connection of this.#connections) connection.stop();
  }

  close(): void {
    this.#closing = true;
    for (const connection of this.#connections) connection.close();
  }

  /** Sends what is due, one connection after the other. */
  #tick(schedule: Schedule): void {
    const time = now();
    const touched = new Set<EchoConnection>();
    while (schedule.next <= time && this.#connections.length > 0) {
      const due = schedule.next;
      schedule.advance();
      this.#turn = (this.#turn + 1) % this.#connections.length;
      const connection = this.#connections[this.#turn] as EchoConnection;
      this.#host.tally.slip.record(time - due);
      connection.due(due);
      touched.add(connection);
    }
    for (const connection of touched) connection.flush();
    this.#timer = setTimeout(() => this.#tick(schedule), 1);
  }
}
