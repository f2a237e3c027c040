/**
 * Lends the sockets of a shard to the main thread, which sends them to another process ahead of their connections.
 * `Passing` has one `Lending`.
 */
import type { Loan } from "../../../wire/node-internals/loan.ts";
import type { Connection } from "../../connection/connection.ts";
import type { LendQuery, LentSocket } from "./messages.ts";

export class Lending {
  readonly #leaving: () => readonly Connection[];
  /** Connections whose sockets haven't gone ahead. Undefined before the first loan. */
  #waiting: Connection[] | undefined;
  /** Numbers of the sockets that have gone ahead, by their connections. */
  #numbers = new WeakMap<Connection, number>();
  #loans: Loan[] = [];

  /** @param leaving returns the connections that can go to another process */
  constructor(leaving: () => readonly Connection[]) {
    this.#leaving = leaving;
  }

  /** Takes back what was lent, and lends the next sockets. Returns none when all have gone. */
  lend({ count, first }: LendQuery): readonly LentSocket[] {
    this.#takeBack();
    this.#waiting ??= [...this.#leaving()];
    const lent: LentSocket[] = [];
    while (lent.length < count) {
      const connection = this.#waiting.pop();
      if (connection === undefined) break;
      const loan = connection.isMovable ? connection.lend() : undefined;
      if (loan === undefined) continue;
      const number = first + lent.length;
      this.#loans.push(loan);
      this.#numbers.set(connection, number);
      lent.push({ number, descriptor: loan.descriptor });
    }
    return lent;
  }

  /** Returns the number of the socket of a connection that leaves, if it has gone ahead. */
  numberOf(connection: Connection): number | undefined {
    return this.#numbers.get(connection);
  }

  /** The other process doesn't take over. */
  end(): void {
    this.#takeBack();
    this.#waiting = undefined;
    this.#numbers = new WeakMap();
  }

  #takeBack(): void {
    for (const loan of this.#loans.splice(0)) loan.end();
  }
}
