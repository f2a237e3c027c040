import { Actor, type Message } from "../../../src/index.ts";

/** Sends its peer what comes on the topic `ticks`. Publishes there what its peer says, and echoes it. */
export default class Ticking extends Actor {
  static override readonly moves = 1;

  override async opened(): Promise<void> {
    await this.subscribe("ticks");
    this.send("subscribed");
  }

  override suspended(): undefined {}

  override resumed(): void {}

  override received(message: Message): void {
    this.publish("ticks", message, { self: true });
  }
}
