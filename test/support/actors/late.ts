import { setImmediate } from "node:timers/promises";
import { Actor, type Message } from "../../../src/index.ts";

/** Echoes every message, but not at once: waits for other threads when it opens, and for a turn before each answer. */
export default class Late extends Actor {
  override async opened(): Promise<void> {
    await this.subscribe("news");
  }

  override async received(message: Message): Promise<void> {
    await setImmediate();
    this.send(message);
  }
}
