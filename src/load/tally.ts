/** The counts of one thread of the load. Scenarios and clients add to them. */
import { LatencyHistogram } from "./histogram.ts";

/** Largest number of different errors that are recorded. Further ones are dropped. */
const MAX_ERRORS = 20;

/** The counts of one thread. */
export class Tally {
  /** Messages sent. In a storm: connections begun. */
  sent = 0;
  /** Correct messages received. In a storm: connections that got their reply. */
  received = 0;
  /** Messages that never arrived. */
  lost = 0;
  /** Messages that differ from what was expected. */
  wrong = 0;
  /** Bytes of frames sent. */
  bytesSent = 0;
  /** Bytes of frames received. */
  bytesReceived = 0;
  /** Connections whose handshake succeeded. */
  opened = 0;
  /** Connections that failed before they were ready. */
  failed = 0;
  /** Connections that the server ended unasked after they were ready. */
  closed = 0;
  /** Latencies in µs. */
  readonly latency = new LatencyHistogram();
  /** Delays in µs by which messages became due too late because this thread was busy. */
  readonly slip = new LatencyHistogram();
  readonly #errors = new Map<string, number>();

  /** Records an error: a sentence that is the same for every connection with this error. */
  error(what: string): void {
    const times = this.#errors.get(what);
    if (times !== undefined || this.#errors.size < MAX_ERRORS) this.#errors.set(what, (times ?? 0) + 1);
  }

  get errors(): (readonly [what: string, times: number])[] {
    return [...this.#errors];
  }

  /** Begins the counted time: drops the counts of the warm-up, and keeps failures. */
  restart(): void {
    this.sent = 0;
    this.received = 0;
    this.bytesSent = 0;
    this.bytesReceived = 0;
    this.latency.reset();
    this.slip.reset();
  }
}
