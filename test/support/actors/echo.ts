import { Actor, type Message } from "../../../src/index.ts";

/** Echoes every message. */
export default class Echo extends Actor {
  override received(message: Message): void {
    this.send(message);
  }
}
