import { SwitchboardError } from "../../errors.ts";

interface PendingPing {
  readonly serial: number;
  readonly sentAt: number;
  readonly answer: PromiseWithResolvers<number>;
}

export interface BegunPing {
  /** What to send; undefined when it has failed already. */
  readonly payload: Buffer | undefined;
  /** The time until its pong, in ms. */
  readonly answered: Promise<number>;
}

const MAX_PENDING = 128;

/** Pings under way, told apart by their payloads. */
export class Pings {
  #pending: PendingPing[] = [];
  #serial = 0;

  /** One that can't even begin. */
  static failed(error: Error): BegunPing {
    const answered = Promise.reject(error);
    answered.catch(() => {});
    return { payload: undefined, answered };
  }

  /** Begins one, or fails it when 128 are under way. */
  begin(): BegunPing {
    if (this.#pending.length >= MAX_PENDING) {
      const message = `${MAX_PENDING} pings wait for their pongs already`;
      return Pings.failed(new SwitchboardError("ERR_TOO_MANY_PINGS", message));
    }
    const answer = Promise.withResolvers<number>();
    // Whoever only wants to provoke traffic needn't look.
    answer.promise.catch(() => {});
    const serial = this.#serial++;
    this.#pending.push({ serial, sentAt: performance.now(), answer });
    const payload = Buffer.alloc(8);
    payload.writeDoubleBE(serial);
    return { payload, answered: answer.promise };
  }

  /**
   * A peer may answer only the newest of several pings (RFC 6455 section 5.5.3): the older ones are answered with it.
   */
  pong(payload: Buffer): void {
    if (payload.length !== 8) return;
    const serial = payload.readDoubleBE();
    const at = this.#pending.findIndex((ping) => ping.serial === serial);
    const now = performance.now();
    for (const { sentAt, answer } of this.#pending.splice(0, at + 1)) answer.resolve(now - sentAt);
  }

  fail(error: Error): void {
    for (const { answer } of this.#pending) answer.reject(error);
    this.#pending = [];
  }
}
