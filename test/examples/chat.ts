// The actor of the framework examples: runs in every shard, one object for each connection.
import { Actor, type Message } from "../../src/index.ts"; // your own: "switchboard"

export default class Chat extends Actor {
  override async opened(): Promise<void> {
    await this.subscribe(`room:${this.params["room"]}`);
    this.send(`welcome to ${this.params["room"]}`);
  }

  override received(message: Message): void {
    this.publish(`room:${this.params["room"]}`, message);
  }
}
