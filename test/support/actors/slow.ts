import { setTimeout as delay } from "node:timers/promises";
import { Actor, type Message } from "../../../src/index.ts";

/**
 * Takes a moment for each message. Messages are numbered from 0. On "done", answers with the number of messages that
 * came in order.
 */
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
