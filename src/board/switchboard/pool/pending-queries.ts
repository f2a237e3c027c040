import type { QueryAnswers, ShardQuery } from "../../shard/queries.ts";

type Answer = QueryAnswers[ShardQuery["kind"]];

/** Questions to one shard that wait for their answers; a shard that ends answers all with undefined. */
export class PendingQueries {
  readonly #pending = new Map<number, (answer: Answer | undefined) => void>();
  #serial = 0;
  #ended = false;

  /** Asks, by calling back with the number to ask under. */
  ask<Kind extends ShardQuery["kind"]>(post: (serial: number) => void): Promise<QueryAnswers[Kind] | undefined> {
    if (this.#ended) return Promise.resolve(undefined);
    const serial = this.#serial++;
    return new Promise((resolve) => {
      this.#pending.set(serial, resolve as (answer: Answer | undefined) => void);
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
