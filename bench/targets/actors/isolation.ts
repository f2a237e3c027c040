import { Actor, type Message } from "../../../src/index.ts";
import { workOf } from "../work.ts";

const work = workOf(Number(new URL(import.meta.url).searchParams.get("micros") ?? 50_000));

/** Says which shard it is in; then returns each message as it came, a text only after so many µs of work. */
export default class Isolation extends Actor {
  override opened(): void {
    this.send(String(this.shard));
  }

  override received(message: Message): void {
    if (message.type === "text") work();
    this.send(message);
  }
}
