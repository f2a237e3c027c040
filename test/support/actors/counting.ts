import { Actor, type Message } from "../../../src/index.ts";

export interface State {
  readonly count: number;
  /** Set by `Pausing`. */
  readonly suspendedAt?: number;
}

/** Echoes every message behind a number of its own, which counts the messages and moves along. */
export default class Counting extends Actor {
  static override readonly moves = 1;
  #count = 0;

  override suspended(): State {
    return { count: this.#count };
  }

  override resumed({ count }: State): void {
    this.#count = count;
  }

  override received(message: Message): void {
    const answer = Buffer.allocUnsafe(4 + message.byteLength);
    answer.writeUInt32BE(this.#count++);
    message.bytes.copy(answer, 4);
    this.send(answer);
  }
}
