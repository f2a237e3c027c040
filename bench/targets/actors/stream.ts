/** The actor of the loads `stream-publish`, `stream-memory` and `stream-resume`. */
import { Actor, type Message, type Position } from "../../../src/index.ts";

const PAYLOAD_BYTES = 100;

/**
 * On the path `/`: sends the number of its shard first. The message `publish 1000 0 50` then publishes 1,000 messages
 * of 100 bytes at once, one after the other to the streams 0 to 49. The answer comes when all are stored: the last
 * position, as JSON. Each published message begins with its number, 32 bits, little endian.
 *
 * On the path of a stream: subscribes, with `?offset=50` from that position on, and sends what was missed, and then
 * `subscribed`.
 */
export default class StreamActor extends Actor {
  override async opened(): Promise<void> {
    const topic = this.params["topic"];
    if (!topic) {
      this.send(String(this.shard));
      return;
    }
    const { query } = this.request;
    const offset = query.get("offset");
    const since = offset === null ? {} : { since: { epoch: query.get("epoch") ?? "", offset: Number(offset) } };
    const { publications } = await this.subscribe(topic, since);
    for (const { message } of publications) this.send(message);
    this.send("subscribed");
  }

  override async received(message: Message): Promise<void> {
    const [, count = 0, first = 0, streams = 1] = message.text.split(" ").map(Number);
    this.send(JSON.stringify(await this.#publish(count, first, streams)));
  }

  async #publish(count: number, first: number, streams: number): Promise<Position | undefined> {
    const payloads = Buffer.alloc(count * PAYLOAD_BYTES);
    const stored: ReturnType<Actor["publish"]>["stored"][] = [];
    for (let number = 0; number < count; number++) {
      const at = number * PAYLOAD_BYTES;
      payloads.writeUInt32LE(number, at);
      const topic = `stream/${first + (number % streams)}`;
      stored.push(this.publish(topic, payloads.subarray(at, at + PAYLOAD_BYTES)).stored);
    }
    const positions = await Promise.all(stored);
    return positions.at(-1)?.position;
  }
}
