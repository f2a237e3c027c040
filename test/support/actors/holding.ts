import type { Message } from "../../../src/index.ts";
import Counting from "./counting.ts";

/** A `Counting` actor whose handler never ends after the text "hold". */
export default class Holding extends Counting {
  override received(message: Message): void | Promise<void> {
    if (message.type !== "text") {
      super.received(message);
      return;
    }
    this.send("holding");
    return new Promise(() => {});
  }
}
