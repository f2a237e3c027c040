/** The actor of `bench/redis.ts`: subscribes to topics for its peer. */
import { Actor, type Message } from "../../src/index.ts";

/**
 * The message `subscribe TOPIC` subscribes; `resume TOPIC EPOCH OFFSET` subscribes from a position, and sends what was
 * missed. Answers with a text: the position.
 */
export default class Subscriber extends Actor {
  override async received(message: Message): Promise<void> {
    const [verb, topic = "", epoch = "", offset] = message.text.split(" ");
    const since = verb === "resume" ? { epoch, offset: Number(offset) } : undefined;
    const { recovered, publications, position } = await this.subscribe(topic, { since });
    if (verb === "resume" && !recovered) throw new Error(`${topic} wasn't recovered`);
    for (const publication of publications) this.send(publication.message);
    this.send(JSON.stringify(position ?? null));
  }
}
