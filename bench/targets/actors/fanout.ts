import { Actor, type Message } from "../../../src/index.ts";

const TOPIC = "all";

/** Publishes each message to all other connections. */
export default class Fanout extends Actor {
  override async opened(): Promise<void> {
    await this.subscribe(TOPIC);
  }

  override received(message: Message): void {
    this.publish(TOPIC, message);
  }
}
