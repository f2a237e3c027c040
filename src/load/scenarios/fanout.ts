/** The fan-out scenario: publishers, receivers, and the bookkeeping of deliveries across threads. */
import { BroadcastChannel } from "node:worker_threads";
import { now } from "../clock.ts";
import { Payload } from "../payload.ts";
import { Times } from "../times.ts";
import { type ConnectionHost, LoadConnection } from "./connection.ts";
import { Connections } from "./connections.ts";
import { Pace } from "./pace.ts";
import type { Scenario, ScenarioHost } from "./scenario.ts";
import { SharedPublishes } from "./shared-publishes.ts";

interface FanoutHost extends ConnectionHost {
  readonly publishes: SharedPublishes;
  readonly publishers: number;
  /** A publish has reached all connections. */
  delivered(publisher: number): void;
  /** A connection has read all messages that had arrived. */
  settled(): void;
  ready(connection: FanoutConnection): void;
  ended(connection: FanoutConnection): void;
}

/**
 * Some connections publish, and the server sends each message to all others. A publish is delivered when all of them
 * have received it.
 */
export class Fanout implements Scenario {
  readonly #host: ScenarioHost;
  readonly #connections: Connections<FanoutConnection>;
  /** The publishers of this thread, by number. */
  readonly #publishers = new Map<number, Publisher>();
  /** Publishers that may send again at the next flush. */
  readonly #touched = new Set<Publisher>();
  readonly #publishes: SharedPublishes;
  /** Tells the other threads which of their publishes were delivered; undefined for a single thread. */
  readonly #channel: BroadcastChannel | undefined;
  #pace: Pace | undefined;

  constructor(host: ScenarioHost) {
    const { settings, fanout } = host;
    this.#host = host;
    this.#connections = new Connections(host);
    this.#publishes = new SharedPublishes(fanout.memory, fanout.window);
    if (settings.threads === 1) return;
    this.#channel = new BroadcastChannel(fanout.channel);
    this.#channel.onmessage = (event) => {
      this.#delivered((event as { readonly data: number }).data);
      this.#flush();
    };
  }

  get outstanding(): number {
    let sum = 0;
    for (const publisher of this.#publishers.values()) sum += publisher.outstanding;
    return sum;
  }

  open(): Promise<void> {
    const { settings, client, tally, connections, before, fanout } = this.#host;
    const payload = new Payload(settings, fanout.window);
    const host: FanoutHost = {
      client,
      payload,
      tally,
      greeting: settings.greeting,
      publishes: this.#publishes,
      publishers: settings.publishers,
      delivered: (publisher) => {
        if (this.#publishers.has(publisher)) this.#delivered(publisher);
        else this.#channel?.postMessage(publisher);
      },
      settled: () => this.#flush(),
      ready: (connection) => this.#connections.opened(connection),
      ended: (connection) => this.#connections.ended(connection),
    };
    return this.#connections.openAll(connections, (index) => {
      const connection = new FanoutConnection(host);
      const number = before + index;
      if (number < settings.publishers) {
        this.#publishers.set(number, new Publisher(number, connection, this.#host, this.#publishes, payload));
      }
      return connection;
    });
  }

  start(): void {
    const { settings, tally } = this.#host;
    const publishers = [...this.#publishers.values()];
    if (settings.rate === undefined) {
      for (const publisher of publishers) publisher.start();
      return;
    }
    if (publishers.length === 0) return;
    let turn = 0;
    const due = (time: number): void => {
      const publisher = publishers[turn++ % publishers.length] as Publisher;
      publisher.due(time);
      this.#touched.add(publisher);
    };
    const rate = (settings.rate * publishers.length) / settings.publishers;
    this.#pace = new Pace(rate, tally, due, () => this.#flush());
    this.#pace.start();
  }

  stop(): void {
    this.#pace?.stop();
    for (const publisher of this.#publishers.values()) publisher.stop();
  }

  close(): void {
    this.#channel?.close();
    this.#connections.close();
  }

  #delivered(number: number): void {
    const publisher = this.#publishers.get(number);
    if (publisher === undefined) return;
    publisher.delivered();
    this.#touched.add(publisher);
  }

  #flush(): void {
    if (this.#touched.size === 0) return;
    for (const publisher of this.#touched) publisher.flush();
    this.#touched.clear();
  }
}

/** The sending side of a connection that publishes. */
class Publisher {
  readonly #number: number;
  readonly #connection: FanoutConnection;
  readonly #host: ScenarioHost;
  readonly #publishes: SharedPublishes;
  readonly #payload: Payload;
  /** Open loop: times at which the unwritten messages were due. */
  readonly #due = new Times();
  #sent = 0;
  #inFlight = 0;
  #sending = false;

  constructor(
    number: number,
    connection: FanoutConnection,
    host: ScenarioHost,
    publishes: SharedPublishes,
    payload: Payload,
  ) {
    this.#number = number;
    this.#connection = connection;
    this.#host = host;
    this.#publishes = publishes;
    this.#payload = payload;
  }

  /** Number of deliveries that are still to come. */
  get outstanding(): number {
    return this.#publishes.outstanding(this.#number) + this.#due.length * this.#deliveries;
  }

  get #deliveries(): number {
    return this.#host.settings.connections - 1;
  }

  start(): void {
    this.#sending = true;
    this.flush();
  }

  stop(): void {
    this.#sending = false;
  }

  due(time: number): void {
    this.#due.push(time);
  }

  delivered(): void {
    this.#inFlight--;
  }

  /** Publishes the messages that are due, or as many as may be in flight. Stops at a slot that is still in use. */
  flush(): void {
    const { rate, inflight } = this.#host.settings;
    let wanted = rate === undefined ? (this.#sending ? inflight - this.#inFlight : 0) : this.#due.length;
    const time = wanted > 0 ? now() : 0;
    while (wanted > 0 && this.#connection.isReady) {
      const most = Math.min(wanted, this.#payload.burst);
      let count = 0;
      while (count < most && this.#publishes.isFree(this.#number, this.#sent + count)) {
        const sentAt = rate === undefined ? time : this.#due.shift();
        this.#publishes.begin(this.#number, this.#sent + count, this.#deliveries, sentAt);
        count++;
      }
      if (count === 0) return;
      this.#connection.publish(this.#number, this.#sent, count);
      this.#sent += count;
      this.#inFlight += count;
      this.#host.tally.sent += count;
      wanted -= count;
    }
  }
}

/** The receiving side of every connection of a fan-out. */
class FanoutConnection extends LoadConnection {
  readonly #host: FanoutHost;
  /** The next counter of each publisher. */
  readonly #expected: Int32Array;
  /** Time at which the current chunk arrived; 0 between chunks. */
  #arrival = 0;

  constructor(host: FanoutHost) {
    super(host);
    this.#host = host;
    this.#expected = new Int32Array(host.publishers);
  }

  publish(publisher: number, first: number, count: number): void {
    this.send(first, count, publisher);
  }

  read(): void {
    this.#arrival = 0;
    this.#host.settled();
  }

  protected override ready(): void {
    this.#host.ready(this);
  }

  protected override reply(bytes: Buffer, start: number): void {
    if (this.#arrival === 0) this.#arrival = now();
    const { publishes } = this.#host;
    const publisher = this.payload.sender(bytes, start);
    const publish = this.payload.counter(bytes, start);
    const expected = this.#expected[publisher];
    if (publish < 0 || expected === undefined || !this.payload.matchesPublished(bytes, start)) {
      this.refuse("a message differs from what was published");
      return;
    }
    if (publish !== expected && !this.#skip(publisher, expected, publish)) return;
    this.#expected[publisher] = (publish + 1) % this.payload.modulus;
    this.tally.received++;
    this.tally.latency.record(this.#arrival - publishes.time(publisher, publish));
    if (publishes.deliver(publisher, publish)) this.#host.delivered(publisher);
  }

  /**
   * Counts the publishes before this one as lost on this connection, so that their publisher goes on. Returns false for
   * a publish that this connection has already received.
   */
  #skip(publisher: number, expected: number, publish: number): boolean {
    const { modulus } = this.payload;
    const skipped = (publish - expected + modulus) % modulus;
    if (skipped > modulus / 2) {
      this.refuse("a message came twice, or out of order");
      return false;
    }
    this.tally.lost += skipped;
    this.tally.error("messages are missing between others");
    for (let i = 0; i < skipped; i++) {
      if (this.#host.publishes.deliver(publisher, expected + i)) this.#host.delivered(publisher);
    }
    return true;
  }

  protected override ended(): void {
    this.#host.ended(this);
  }
}
