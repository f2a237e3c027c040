/** One connection of the echo scenario. */
import { now } from "../clock.ts";
import { Times } from "../times.ts";
import { type ConnectionHost, LoadConnection } from "./connection.ts";

export interface EchoHost extends ConnectionHost {
  /** Number of messages that wait for their reply; undefined in an open loop, where messages become due. */
  readonly inflight: number | undefined;
  ready(connection: EchoConnection): void;
  ended(connection: EchoConnection): void;
}

/**
 * Largest number of bytes that wait for a server that doesn't read. Messages that become due then are written later.
 */
const MAX_BUFFERED_BYTES = 1024 * 1024;

/** A connection that sends messages and checks that each comes back, in order. */
export class EchoConnection extends LoadConnection {
  readonly #host: EchoHost;
  /** Times at which the messages without a reply were sent, or should have been sent. */
  readonly #times: Times;
  /** Open loop: times at which the unwritten messages were due. */
  readonly #due = new Times();
  #sent = 0;
  #received = 0;
  #sending = false;
  /** Time at which the current chunk arrived; 0 between chunks. */
  #arrival = 0;

  constructor(host: EchoHost) {
    super(host);
    this.#host = host;
    this.#times = new Times(host.inflight);
  }

  /** Number of messages without a reply, unwritten ones included. */
  get outstanding(): number {
    return this.#times.length + this.#due.length;
  }

  /** Closed loop: sends the first messages, then one more for each reply. */
  start(): void {
    this.#sending = true;
    this.#refill(now());
  }

  stop(): void {
    this.#sending = false;
  }

  /** Open loop: adds a message that is due at `time`. The next `flush` writes it. */
  due(time: number): void {
    this.#due.push(time);
  }

  /** Writes the messages that are due. */
  flush(): void {
    while (this.#due.length > 0 && this.client.bufferedBytes < MAX_BUFFERED_BYTES && this.client.isOpen) {
      const count = Math.min(this.#due.length, this.payload.burst);
      for (let i = 0; i < count; i++) this.#times.push(this.#due.shift());
      this.#write(count);
    }
  }

  read(): void {
    // The next messages count from the arrival of the replies: a few µs too early, which saves a look at the clock.
    const arrival = this.#arrival;
    this.#arrival = 0;
    if (this.#host.inflight === undefined) this.flush();
    else if (this.#sending) this.#refill(arrival === 0 ? now() : arrival);
  }

  protected override ready(): void {
    this.#host.ready(this);
  }

  protected override ended(): void {
    this.#sending = false;
    this.tally.lost += this.outstanding;
    this.#times.clear();
    this.#due.clear();
    this.#host.ended(this);
  }

  protected override reply(bytes: Buffer, start: number): void {
    if (this.#arrival === 0) this.#arrival = now();
    if (this.#times.length === 0) {
      this.refuse("received a message that answers none of those sent");
      return;
    }
    const counter = this.payload.counter(bytes, start);
    const wrong = counter === this.#received % this.payload.modulus ? undefined : this.#skipTo(counter);
    this.#received++;
    const latency = this.#arrival - this.#times.shift();
    if (wrong !== undefined || !this.payload.matches(bytes, start)) {
      this.refuse(wrong ?? "a reply differs from what was sent");
      return;
    }
    this.tally.received++;
    this.tally.latency.record(latency);
  }

  /**
   * Counts the replies before this one as lost, if this reply is awaited. Otherwise the reply takes the place of the
   * next one, and what is wrong with it is returned.
   */
  #skipTo(counter: number): string | undefined {
    if (counter < 0) return "a reply differs from what was sent";
    const { modulus } = this.payload;
    const skipped = (counter - (this.#received % modulus) + modulus) % modulus;
    if (skipped >= this.#times.length) return "a reply isn't the one that was expected";
    this.tally.lost += skipped;
    this.tally.error("replies are missing between others");
    this.#received += skipped;
    for (let i = 0; i < skipped; i++) this.#times.shift();
    return undefined;
  }

  /** Closed loop: sends as many messages as may be in flight. */
  #refill(time: number): void {
    const { inflight = 0 } = this.#host;
    let count = inflight - this.#times.length;
    while (count > 0 && this.client.isOpen) {
      const burst = Math.min(count, this.payload.burst);
      for (let i = 0; i < burst; i++) this.#times.push(time);
      this.#write(burst);
      count -= burst;
    }
  }

  #write(count: number): void {
    this.send(this.#sent, count);
    this.#sent += count;
    this.tally.sent += count;
  }
}
