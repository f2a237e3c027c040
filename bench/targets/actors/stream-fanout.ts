/** The actor of the scenarios `stream-fanout`. */
import { Actor, type Message } from "../../../src/index.ts";

/**
 * Publishes each message to the topic of its URL path. A connection that publishes is no subscriber any more: on a
 * topic with history, a publisher would get its own publications.
 */
export default class StreamFanout extends Actor {
  readonly #topic = this.params["topic"] || "all";
  #publishes = false;

  override async opened(): Promise<void> {
    await this.subscribe(this.#topic);
  }

  override received(message: Message): void {
    if (!this.#publishes) this.unsubscribe(this.#topic);
    this.#publishes = true;
    this.publish(this.#topic, message);
  }
}
