import { Actor, type Message, type Publication } from "../../../src/index.ts";

/** Publications as they were published, behind their topic: the same function for all connections of the shard. */
const withTopic = ({ topic, message }: Publication): string => `${topic} ${message.text}`;

/** Subscribes to the topics that its peer names, one with an `encode`, and publishes what its peer says. Moves. */
export default class Hopping extends Actor {
  static override readonly moves = 1;

  override suspended(): null {
    return null;
  }

  override async resumed(): Promise<void> {
    await this.subscribe("encoded", { encode: withTopic });
  }

  override async received(message: Message): Promise<void> {
    const [what, topic = "", data = ""] = message.text.split("|");
    if (what === "publish") {
      this.publish(topic, data);
    } else {
      for (const one of ["plain", "raw"]) await this.subscribe(one);
      await this.subscribe("encoded", { encode: withTopic });
      this.send("subscribed");
    }
  }
}
