import { setImmediate } from "node:timers/promises";
import { Actor, type Address, type Message } from "../../../src/index.ts";

/** Asks the actor with the address that its peer says, adds what the other answers, and tells its peer the sum. */
export default class Asking extends Actor {
  static override readonly moves = 1;
  #sum = 0;

  override opened(): void {
    this.send(this.address);
  }

  override suspended(): number {
    return this.#sum;
  }

  override resumed(sum: number): void {
    this.#sum = sum;
  }

  override async received(message: Message): Promise<void> {
    this.#sum += (await this.ask(message.text as Address, 1)) as number;
    this.send(String(this.#sum));
  }

  override async mailed(value: unknown): Promise<unknown> {
    await setImmediate();
    return value;
  }
}
