/** The actor of the echo scenarios. */
import { Actor, type Message } from "../../../src/index.ts";

/** Returns each message unchanged, and keeps none. */
export default class Echo extends Actor {
  static override readonly messages = "borrowed";

  override received(message: Message): void {
    this.send(message);
  }
}
