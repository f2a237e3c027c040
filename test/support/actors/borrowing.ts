import { setImmediate as turn } from "node:timers/promises";
import { Actor, type Message } from "../../../src/index.ts";

/** An actor that borrows its messages. The first word of a message says what it does with the message. */
export default class Borrowing extends Actor {
  static override readonly messages = "borrowed";
  static override readonly moves = 1;
  #kept: { readonly message: Message; readonly view: Buffer; readonly copy: Message } | undefined;

  override received(message: Message): Promise<void> | undefined {
    const [verb] = message.bytes.toString("latin1", 0, 20).split(" ");
    switch (verb) {
      case "keep":
        this.#kept = { message, view: message.bytes, copy: message.compact() };
        this.send("kept");
        return;
      case "show":
        this.#show();
        return;
      case "later":
        return this.#sendLater(message);
      case "subscribe":
        return this.subscribe("all").then(() => void this.send("subscribed"));
      case "publish":
        this.publish("all", message);
        return;
      case "mail":
        return this.tell(this.address, message.bytes).then(() => undefined);
      case "between":
        this.send("before");
        this.send(message);
        this.send("after");
        return;
      default:
        this.send(message);
        return;
    }
  }

  override mailed(mail: unknown): void {
    this.send(mail as Uint8Array);
  }

  override suspended(): null {
    return null;
  }

  override resumed(): void {}

  async #sendLater(message: Message): Promise<void> {
    for (let turns = 0; turns < 5; turns++) await turn();
    this.send(message);
  }

  #show(): void {
    const { message, view, copy } = this.#kept ?? {};
    let code: unknown;
    try {
      this.send(message ?? "nothing kept");
    } catch (error) {
      code = (error as { readonly code?: unknown }).code;
    }
    this.send(JSON.stringify({ code, view: [...new Set(view)] }));
    this.send(copy ?? "nothing kept");
  }
}
