/** The actor of the fan-out scenarios. */
import { Actor, type Message } from "../../../src/index.ts";

/** Publishes each message to all other connections of the same URL path. */
export default class Fanout extends Actor {
  readonly #topic = this.params["topic"] || "all";

  override async opened(): Promise<void> {
    await this.subscribe(this.#topic);
  }

  override received(message: Message): void {
    this.publish(this.#topic, message);
  }
}
