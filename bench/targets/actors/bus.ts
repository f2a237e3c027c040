/** The actor of the scenarios of publishes between shards. */
import { Actor, type Message } from "../../../src/index.ts";

const TOPIC = "bus";
const PAYLOAD_BYTES = 64;

/**
 * The actor for `loads/bus.ts`. Sends the number of its shard first. The message `subscribe` subscribes; the message
 * `publish 1000` publishes 1,000 messages of 64 bytes at once. Each published message begins with its number, 32 bits,
 * little endian.
 */
export default class BusActor extends Actor {
  #number = 0;

  override opened(): void {
    this.send(String(this.shard));
  }

  override async received(message: Message): Promise<void> {
    const [verb, count] = message.text.split(" ");
    if (verb === "publish") return this.#publish(Number(count));
    await this.subscribe(TOPIC);
    this.send("subscribed");
  }

  #publish(count: number): void {
    const payloads = Buffer.alloc(count * PAYLOAD_BYTES);
    for (let at = 0; at < payloads.length; at += PAYLOAD_BYTES) {
      payloads.writeUInt32LE(this.#number++, at);
      this.publish(TOPIC, payloads.subarray(at, at + PAYLOAD_BYTES));
    }
  }
}
