/** Questions that wait for their answers. If the shard ends, all settle with undefined. */
import { SwitchboardError } from "../../../errors.ts";
import type { QueryAnswers, ShardQuery } from "../../shard/queries.ts";

type Answer = QueryAnswers[ShardQuery["kind"]];

/** Milliseconds that a shard has to answer: as long as an actor has for an `ask`. */
const TIMEOUT_MS = 5_000;

/** Questions to one shard that wait for their answers; a shard that ends answers all with undefined. */
export class PendingQueries {
  readonly #pending = new Map<number, (answer: Answer | undefined) => void>();
  #serial = 0;
  #ended = false;

  /** Asks a question: `post` gets its number. Rejects with `ERR_SHARD_UNRESPONSIVE` without an answer in time. */
  ask<Kind extends ShardQuery["kind"]>(post: (serial: number) => void): Promise<QueryAnswers[Kind] | undefined> {
    if (this.#ended) return Promise.resolve(undefined);
    const serial = this.#serial++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(serial);
        const message = `the shard has not answered within ${TIMEOUT_MS} ms`;
        reject(new SwitchboardError("ERR_SHARD_UNRESPONSIVE", message));
      }, TIMEOUT_MS);
      this.#pending.set(serial, (answer) => {
        clearTimeout(timer);
        resolve(answer as QueryAnswers[Kind] | undefined);
      });
      post(serial);
    });
  }

  settle(serial: number, answer: Answer | undefined): void {
    this.#pending.get(serial)?.(answer);
    this.#pending.delete(serial);
  }

  end(): void {
    this.#ended = true;
    for (const serial of [...this.#pending.keys()]) this.settle(serial, undefined);
  }
}
