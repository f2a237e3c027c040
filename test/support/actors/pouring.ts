import { Actor, type Message } from "../../../src/index.ts";

interface Order {
  readonly count: number;
  readonly bytes: number;
}

/** Sends as many binary messages as its peer orders, all in one turn. */
export default class Pouring extends Actor {
  override received(message: Message): void {
    const { count, bytes }: Order = JSON.parse(message.text);
    for (let i = 0; i < count; i++) this.send(Buffer.alloc(bytes));
  }
}
