/** The actor of the deploy demo: counts what it sends to its connection. The count goes along to the next version. */
import { Actor } from "../../../src/index.ts";
import { VERSION } from "./version.ts";

/** Time between two messages, in ms. */
const TICK_MS = 10;

export default class Counter extends Actor {
  static override moves = 1;
  #count = 0;

  override opened(): void {
    this.every(TICK_MS, "tick");
  }

  tick(): void {
    this.#count++;
    this.send(JSON.stringify({ count: this.#count, version: VERSION, shard: this.shard }));
  }

  override suspended(): unknown {
    return { count: this.#count };
  }

  override resumed({ count }: { readonly count: number }): void {
    this.#count = count;
  }
}
