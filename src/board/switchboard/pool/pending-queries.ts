/** The questions of the main thread to one shard that wait for their answers. `ShardHandle` owns it. */
import { SwitchboardError } from "../../../errors.ts";
import { PendingReplies } from "../../../wire/transport/pending-replies.ts";
import type { QueryAnswers, ShardQuery } from "../../shard/queries.ts";

type Answer = QueryAnswers[ShardQuery["kind"]];

/** Milliseconds that a shard has to answer: as long as an actor has for an `ask`. */
const TIMEOUT_MS = 5_000;

/** Questions to one shard that wait for their answers. When the shard ends, all are answered with undefined. */
export class PendingQueries {
  readonly #pending = new PendingReplies<PromiseWithResolvers<Answer | undefined>>();
  #ended = false;

  /**
   * Begins a question. `post` is called with the serial to send it under. Rejects with `ERR_SHARD_UNRESPONSIVE` when no
   * answer comes in time.
   *
   * @param timeoutMs time that the shard has, in ms. Default: 5 s.
   */
  ask<Kind extends ShardQuery["kind"]>(
    post: (serial: number) => void,
    timeoutMs = TIMEOUT_MS,
  ): Promise<QueryAnswers[Kind] | undefined> {
    if (this.#ended) return Promise.resolve(undefined);
    const query = Promise.withResolvers<Answer | undefined>();
    const serial = this.#pending.addUntil(query, timeoutMs, ({ reject }) => {
      const message = `the shard has not answered within ${timeoutMs} ms`;
      reject(new SwitchboardError("ERR_SHARD_UNRESPONSIVE", message));
    });
    try {
      post(serial);
    } catch (thrown) {
      this.#pending.take(serial)?.reject(thrown);
    }
    return query.promise as Promise<QueryAnswers[Kind] | undefined>;
  }

  /** Answers a question. A second answer, or an answer after the deadline, is ignored. */
  settle(serial: number, answer: Answer | undefined): void {
    this.#pending.take(serial)?.resolve(answer);
  }

  end(): void {
    this.#ended = true;
    for (const { resolve } of this.#pending.takeAll()) resolve(undefined);
  }
}
