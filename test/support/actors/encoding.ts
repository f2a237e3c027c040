import { Actor, type Message, type Publication } from "../../../src/index.ts";

/** Makes text louder, keeps "secret" back, and can't bear "broken". */
function encode({ topic, offset, message }: Publication): string | undefined {
  if (message.text === "broken") throw new Error("can't encode this");
  return message.text === "secret" ? undefined : `${topic} ${offset} ${message.text.toUpperCase()}`;
}

/** Subscribes to the topic of its path with an `encode`, and publishes there what its peer sends. */
export default class Encoding extends Actor {
  get #topic(): string {
    return this.params["topic"] ?? "";
  }

  #deliver = (): void => {};

  override async opened(): Promise<void> {
    const deliverAfter = this.request.query.has("held")
      ? new Promise<void>((resolve) => {
          this.#deliver = resolve;
        })
      : undefined;
    // The second subscription changes nothing.
    for (let i = 0; i < 2; i++) await this.subscribe(this.#topic, { encode, deliverAfter });
    this.send("subscribed");
  }

  override received(message: Message): void {
    if (message.text === "deliver") {
      this.send("now");
      this.#deliver();
    } else if (message.text === "leave") this.unsubscribe(this.#topic);
    else this.publish(this.#topic, message.text, { self: true });
  }
}
