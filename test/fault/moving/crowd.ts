/** Clients that check every byte while something goes wrong with their move, and the row of the table about them. */
import { onTestFinished } from "vitest";
import { CountedClient } from "../../support/counted-client.ts";
import { isLong, writeRow } from "../rows.ts";

/** A row of the table that `npm run faults` prints. */
export interface Row {
  readonly fault: string;
  readonly result: string;
  readonly kept: string;
  readonly lost: string;
  readonly wrong: string;
  readonly longestMs: string;
}

const CLIENTS = isLong ? 200 : 20;

/** What became of the clients. */
export interface Fate {
  readonly lost: number;
  /** Everything that was wrong besides. */
  readonly wrong: readonly string[];
}

/** Clients of a `Counting` actor, half of them with messages that take many reads. */
export class Crowd {
  readonly #clients: readonly CountedClient[];
  readonly #before: readonly number[];

  private constructor(clients: readonly CountedClient[]) {
    this.#clients = clients;
    this.#before = clients.map(({ waits }) => waits.length);
  }

  /** Resolves when each client has had an answer. */
  static async join(port: number): Promise<Crowd> {
    const large = { sizeOf: (number: number): number => 20 + ((number * 7_919) % 20_000), pieceBytes: 900 };
    const clients = await Promise.all(
      Array.from({ length: CLIENTS }, (_, index) => CountedClient.open({ port, ...(index % 2 === 0 && large) })),
    );
    onTestFinished(() => {
      for (const { socket } of clients) socket.destroy();
    });
    await allAnswered(clients);
    return new Crowd(clients);
  }

  get size(): number {
    return this.#clients.length;
  }

  /** Resolves when each client that still is connected has had another answer. */
  goesOn(): Promise<void> {
    return allAnswered(this.#clients);
  }

  /** Waits for all answers that are still to come, judges, and writes the row. */
  async end(fault: string, result: string): Promise<Fate> {
    const waits = this.#clients.flatMap((client, index) => client.waits.slice(this.#before[index]));
    const longestMs = waits.reduce((longest, wait) => Math.max(longest, wait), 0);
    await Promise.all(this.#clients.map((client) => client.stop()));
    const isLoss = (error: string): boolean => /^closed after|ECONNRESET|EPIPE/.test(error);
    const lost = this.#clients.filter(({ errors }) => errors.some(isLoss)).length;
    const wrong = this.#clients.flatMap(({ errors }) => errors.filter((error) => !isLoss(error)));
    const kept = String(this.#clients.length - lost);
    const row: Row = {
      fault,
      result,
      kept,
      lost: String(lost),
      wrong: String(wrong.length),
      longestMs: `${longestMs.toFixed(0)} ms`,
    };
    writeRow(row);
    return { lost, wrong };
  }
}

async function allAnswered(clients: readonly CountedClient[]): Promise<void> {
  const before = clients.map(({ answers }) => answers);
  for (const [index, client] of clients.entries()) {
    while (client.answers === before[index] && client.errors.length === 0) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          client.socket.off("data", wake).off("close", wake);
          resolve();
        };
        client.socket.on("data", wake).on("close", wake);
      });
    }
  }
}
