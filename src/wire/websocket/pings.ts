/**
 * Pings that the user of a `WebSocket` sent, each with a promise of its round-trip time.
 */
import { SwitchboardError } from "../../errors.ts";
import { PendingReplies } from "../transport/pending-replies.ts";

interface PendingPing {
  /** Time by `performance.now()`. */
  readonly sentAt: number;
  readonly answer: PromiseWithResolvers<number>;
}

export interface BegunPing {
  /** Payload to send; undefined if the ping has failed already. */
  readonly payload: Buffer | undefined;
  /** Resolves with the milliseconds until the pong. */
  readonly answered: Promise<number>;
}

const MAX_PENDING = 128;

/** Pings under way. The payload of a ping is its serial. */
export class Pings {
  readonly #pending = new PendingReplies<PendingPing>();

  /** A ping that can't begin. */
  static failed(error: Error): BegunPing {
    const answered = Promise.reject(error);
    answered.catch(() => {});
    return { payload: undefined, answered };
  }

  /** Begins a ping. It fails with `ERR_TOO_MANY_PINGS` when 128 are under way. */
  begin(): BegunPing {
    if (this.#pending.size >= MAX_PENDING) {
      const message = `${MAX_PENDING} pings wait for their pongs already`;
      return Pings.failed(new SwitchboardError("ERR_TOO_MANY_PINGS", message));
    }
    const answer = Promise.withResolvers<number>();
    // Marks the promise as handled: a caller may ping only to cause traffic.
    answer.promise.catch(() => {});
    const payload = Buffer.alloc(8);
    payload.writeDoubleBE(this.#pending.add({ sentAt: performance.now(), answer }));
    return { payload, answered: answer.promise };
  }

  /** Settles a ping and all older ones: a peer may answer only the newest (RFC 6455 section 5.5.3). */
  pong(payload: Buffer): void {
    if (payload.length !== 8) return;
    const now = performance.now();
    for (const { sentAt, answer } of this.#pending.takeThrough(payload.readDoubleBE())) answer.resolve(now - sentAt);
  }

  fail(error: Error): void {
    for (const { answer } of this.#pending.takeAll()) answer.reject(error);
  }
}
