import { Actor, type Message } from "../../../src/index.ts";

/** Echoes every message, and keeps none: most tests of boards thereby test lent memory, where there is some. */
export default class Echo extends Actor {
  static override readonly messages = "borrowed";

  override received(message: Message): void {
    this.send(message);
  }
}
