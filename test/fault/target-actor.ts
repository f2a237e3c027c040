/** The actor of the server under attack. */
import { Actor, type Message, SwitchboardError } from "../../src/index.ts";

/**
 * Echoes text messages, ignores binary messages, and executes commands in text messages: "subscribe", "publish", "exit"
 * and others.
 */
export default class Target extends Actor {
  override async received(message: Message): Promise<void> {
    if (message.type === "binary") return;
    const { text } = message;
    const [verb, first = "", second = "1"] = text.split(" ");
    switch (verb) {
      case "where":
        this.send(String(this.shard));
        return;
      case "subscribe":
        await this.#subscribeAll(numbered(first, second));
        break;
      case "unsubscribe":
        for (const topic of numbered(first, second)) this.unsubscribe(topic);
        break;
      case "publish":
        this.publish(first, Buffer.alloc(Number(second)));
        break;
      case "pour": {
        const piece = Buffer.alloc(Number(first));
        while (this.send(piece) !== "closed") await this.drained();
        return;
      }
      case "exit":
        process.exit();
        break;
      case "throw":
        setImmediate(() => {
          throw new Error("thrown outside any handler");
        });
        return;
      default:
        this.send(message);
        return;
    }
    this.send("done");
  }

  /** Subscribes to all topics. Ignores those beyond the connection's limit. */
  async #subscribeAll(topics: readonly string[]): Promise<void> {
    try {
      await Promise.all(topics.map((topic) => this.subscribe(topic)));
    } catch (error) {
      if (!(error instanceof SwitchboardError) || error.kind !== "capacity") throw error;
    }
  }
}

/** `count` topics with a common beginning. */
function numbered(beginning: string, count: string): string[] {
  return Array.from({ length: Number(count) }, (_, i) => `${beginning}${i}`);
}
