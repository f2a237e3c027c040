/**
 * The actor of `raw.ts`: subscribes to the topic of its URL path, and publishes to the topic of `?to=` what it gets.
 */
import { Actor, type Message } from "../../src/index.ts";

export default class Raw extends Actor {
  override async opened(): Promise<void> {
    const { topic = "" } = this.params;
    if (topic === "") return;
    await this.subscribe(topic);
    this.send("subscribed");
  }

  override received(message: Message): void {
    this.publish(this.request.query.get("to") ?? "", message);
  }
}
