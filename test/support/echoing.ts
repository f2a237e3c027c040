/** Connections that check that service goes on while a test breaks something else. */
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import { text } from "./frames.ts";
import type { RawClient } from "./raw-client.ts";

/** Time from an echo to the next message, in ms. Without it, the echoes would take all the CPU time of a test. */
const PAUSE_MS = 10;

/** Peers that each send a message, await its echo, and after a pause send the next, until they are stopped. */
export class Echoing {
  readonly #ended: Promise<unknown>;
  #stopped = false;
  #round = Promise.withResolvers<void>();
  readonly #rounds: number[];

  constructor(clients: readonly RawClient[]) {
    this.#rounds = clients.map(() => 0);
    this.#ended = Promise.all(clients.map((client, peer) => this.#echo(client, peer)));
    // `stop` reports the failure.
    this.#ended.catch(() => {});
  }

  async #echo(client: RawClient, peer: number): Promise<void> {
    for (let serial = 0; !this.#stopped; serial++) {
      const message = `peer ${peer}, message ${serial}`;
      client.write(text(message));
      expect(await client.text()).toBe(message);
      this.#rounds[peer] = serial;
      this.#round.resolve();
      this.#round = Promise.withResolvers();
      await delay(PAUSE_MS);
    }
  }

  /** Resolves when each peer has had this many further echoes. */
  async goesOn(rounds = 10): Promise<void> {
    const goals = this.#rounds.map((done) => done + rounds);
    while (goals.some((goal, peer) => (this.#rounds[peer] ?? 0) < goal))
      await Promise.race([this.#round.promise, this.#ended]);
  }

  /** Resolves when the last message of each peer was echoed. Rejects if any message of any peer wasn't. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#ended;
  }
}
