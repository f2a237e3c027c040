/** The actor of the echo scenarios. */
import { Actor, type Message } from "../../../src/index.ts";

/** Returns each message unchanged. */
export default class Echo extends Actor {
  override received(message: Message): void {
    this.send(message);
  }
}
