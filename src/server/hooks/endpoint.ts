/**
 * One question that the application answers over HTTP, with everything that keeps its failures small: a bound on calls
 * under way and waiting, a timeout, the circuit breaker, counters and the log. One per question and shard.
 */
import { type HistogramValues, SharedHistogram } from "../../runtime/stats/histogram.ts";
import type { EndpointConfig } from "../config/config.ts";
import { CallSlots } from "./call-slots.ts";
import { CircuitBreaker, type CircuitState, OPEN_MS } from "./circuit-breaker.ts";
import { EndpointLog, type HooksLog } from "./endpoint-log.ts";
import { type CallFailure, describeUrl, endpointUrl, HttpCaller } from "./http-call.ts";

/** Calls of one endpoint that are under way at once in one shard, at most. */
export const MAX_CALLS_UNDER_WAY = 128;

/** Calls that wait for their turn at most, and bytes of their bodies at most. */
export const MAX_CALLS_WAITING = 4_096;
export const MAX_BYTES_WAITING = 16 * 1024 * 1024;

const LIMITS = {
  maxUnderWay: MAX_CALLS_UNDER_WAY,
  maxWaiting: MAX_CALLS_WAITING,
  maxBytesWaiting: MAX_BYTES_WAITING,
};

/** Numbers of one endpoint in one shard. */
export interface EndpointSnapshot {
  /** Calls that were made. */
  readonly calls: number;
  /** Calls that were made and had no usable answer. */
  readonly failures: number;
  /** Calls that weren't made because too many waited, or because their turn didn't come in time. */
  readonly overloaded: number;
  /** Calls that weren't made because the circuit was open. */
  readonly shortCircuited: number;
  readonly underWay: number;
  readonly waiting: number;
  readonly circuit: CircuitState;
  /** Times in seconds from sending a call to the end of its answer, or to its failure. */
  readonly latency: HistogramValues;
}

/** Statuses of an application, or of a proxy before it, that can't answer now. */
const OVERLOADED: ReadonlySet<number> = new Set([408, 429, 502, 503, 504]);

/** A call's body, and the headers that go with it. */
export interface Question {
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

/** An answer that can't be used, and why. */
export class Nonsense {
  readonly detail: string;

  constructor(detail: string) {
    this.detail = detail;
  }
}

export class Endpoint {
  readonly #timeoutMs: number;
  readonly #repeatable: boolean;
  readonly #caller: HttpCaller;
  readonly #log: EndpointLog;
  readonly #slots = new CallSlots(LIMITS);
  readonly #circuit = new CircuitBreaker();
  readonly #latency = new SharedHistogram();
  #calls = 0;
  #failures = 0;
  #overloaded = 0;
  #shortCircuited = 0;

  /**
   * @param name key of the endpoint in the config, such as "client.proxy.connect"
   * @param repeatable true if asking twice does no harm
   * @throws `ERR_OPTION` if the address is none
   */
  constructor(name: string, config: EndpointConfig, log: HooksLog, repeatable: boolean) {
    const url = endpointUrl(config.endpoint, name);
    this.#timeoutMs = config.timeoutMs;
    this.#repeatable = repeatable;
    this.#caller = new HttpCaller(url, MAX_CALLS_UNDER_WAY);
    this.#log = new EndpointLog(log, name, describeUrl(url));
  }

  /** Asks. Gives what `read` makes of the answer's body, or undefined after any failure. Never rejects. */
  async ask<Result>(question: Question, read: (body: Buffer) => Result | Nonsense): Promise<Result | undefined> {
    const deadline = performance.now() + this.#timeoutMs;
    const slot = this.#slots.take(question.body.length, this.#timeoutMs);
    if (slot !== true && !(await slot)) {
      this.#overloaded++;
      this.#log.overloaded("more questions wait than the application answers in time; check what keeps it busy");
      return undefined;
    }
    try {
      if (this.#circuit.allows()) return await this.#call(question, deadline, read);
      this.#shortCircuited++;
      return undefined;
    } finally {
      this.#slots.release();
    }
  }

  snapshot(): EndpointSnapshot {
    return {
      calls: this.#calls,
      failures: this.#failures,
      overloaded: this.#overloaded,
      shortCircuited: this.#shortCircuited,
      underWay: this.#slots.underWay,
      waiting: this.#slots.waiting,
      circuit: this.#circuit.state,
      latency: this.#latency.snapshot(),
    };
  }

  /** Ends the calls that wait or are under way. They count as failed. */
  close(): void {
    this.#slots.clear();
    this.#caller.close();
  }

  async #call<Result>(
    { body, headers }: Question,
    deadline: number,
    read: (body: Buffer) => Result | Nonsense,
  ): Promise<Result | undefined> {
    this.#calls++;
    const started = performance.now();
    const timeoutMs = Math.max(1, deadline - started);
    const outcome = await this.#caller.post({ body, headers, timeoutMs, repeatable: this.#repeatable });
    this.#latency.observe((performance.now() - started) / 1_000);
    if (outcome.kind === "failed") return this.#failed(outcome.failure);
    const answer = read(outcome.body);
    if (answer instanceof Nonsense) return this.#failed({ kind: "nonsense", detail: answer.detail });
    this.#succeeded();
    return answer;
  }

  #succeeded(): void {
    if (this.#circuit.succeeded()) this.#log.recovered();
  }

  #failed(failure: CallFailure): undefined {
    this.#failures++;
    // An application that answers is there. A client that makes it answer so must not open the circuit for all.
    const { kind, status = 0 } = failure;
    if (kind === "nonsense" || (kind === "status" && !OVERLOADED.has(status))) {
      this.#succeeded();
      this.#log.failed(failure);
    } else if (this.#circuit.failed()) this.#log.opened(failure, OPEN_MS);
    else this.#log.failed(failure);
  }
}
