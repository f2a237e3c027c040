import { existsSync, writeFileSync } from "node:fs";
import { Actor, type Message, type Publication } from "../../../src/index.ts";

/** Publications as they were published, behind their topic: the same function for all connections of the shard. */
const withTopic = ({ topic, message }: Publication): string => `${topic} ${message.text}`;

/** Subscribes to topics, one with an `encode`, publishes what its peer says, and blocks its shard. Moves. */
export default class Hopping extends Actor {
  static override readonly moves = 1;

  #isSubscriber = false;

  override suspended(): boolean {
    return this.#isSubscriber;
  }

  override async resumed(isSubscriber: boolean): Promise<void> {
    this.#isSubscriber = isSubscriber;
    if (isSubscriber) await this.subscribe("encoded", { encode: withTopic });
  }

  override async received(message: Message): Promise<void> {
    const [what, topic = "", data = ""] = message.text.split("|");
    if (what === "publish" || what === "publishNow") {
      this.publish(topic, data);
      if (what === "publishNow") this.send("published");
    } else if (what === "block") {
      // The whole shard stands still until the file is removed.
      writeFileSync(topic, "");
      while (existsSync(topic));
    } else {
      this.#isSubscriber = true;
      for (const one of ["plain", "raw"]) await this.subscribe(one);
      await this.subscribe("encoded", { encode: withTopic });
      this.send("subscribed");
    }
  }
}
