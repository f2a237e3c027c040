import { Histogram } from "./histogram.ts";

/** Different errors that are told one by one; after that they are only counted. */
const MAX_ERRORS = 20;

/** What one thread counts. Everything that happens in a thread adds to one of these. */
export class Tally {
  sent = 0;
  received = 0;
  lost = 0;
  wrong = 0;
  bytesSent = 0;
  bytesReceived = 0;
  opened = 0;
  failed = 0;
  closed = 0;
  /** In µs. */
  readonly latency = new Histogram();
  /** How much later than intended messages were sent because this thread was late, in µs. */
  readonly slip = new Histogram();
  readonly #errors = new Map<string, number>();

  /** What went wrong, as a sentence that doesn't differ from one connection to the next. */
  error(what: string): void {
    const times = this.#errors.get(what);
    if (times !== undefined || this.#errors.size < MAX_ERRORS) this.#errors.set(what, (times ?? 0) + 1);
  }

  get errors(): (readonly [what: string, times: number])[] {
    return [...this.#errors];
  }

  /** The counted time begins: what came before was warm-up. Failures stay. */
  restart(): void {
    this.sent = 0;
    this.received = 0;
    this.bytesSent = 0;
    this.bytesReceived = 0;
    this.latency.reset();
    this.slip.reset();
  }
}
