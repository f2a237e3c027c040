import { setTimeout as delay } from "node:timers/promises";
import { Actor, type Message } from "../../../src/index.ts";

/** Takes a moment for each message; they are numbered from 0. Told "done", it answers with how many came in order. */
export default class Slow extends Actor {
  #next = 0;

  override async received(message: Message): Promise<void> {
    const [number] = message.text.slice(0, 16).split(" ");
    if (number === "done") {
      this.send(`${this.#next}`);
      return;
    }
    if (Number(number) === this.#next) this.#next++;
    await delay(1);
  }
}
