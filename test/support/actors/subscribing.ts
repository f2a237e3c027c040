import { Actor, type Message } from "../../../src/index.ts";

/**
 * On "+topic" subscribes, on "-topic" unsubscribes. Answers with the number of its topics, or with the code of the
 * error.
 */
export default class Subscribing extends Actor {
  readonly #topics = new Set<string>();

  override received({ text }: Message): void {
    const topic = text.slice(1);
    try {
      if (text.startsWith("+")) {
        void this.subscribe(topic);
        this.#topics.add(topic);
      } else {
        this.unsubscribe(topic);
        this.#topics.delete(topic);
      }
      this.send(String(this.#topics.size));
    } catch (error) {
      this.send((error as { readonly code: string }).code);
    }
  }
}
