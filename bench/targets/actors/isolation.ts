/** The actor of the scenario with a slow handler beside quick ones. */
import { Actor, type Message } from "../../../src/index.ts";
import { workOf } from "../work.ts";

const work = workOf(Number(new URL(import.meta.url).searchParams.get("micros") ?? 50_000));

/**
 * The actor for `loads/isolation.ts`. Sends the number of its shard first, and then returns each message unchanged: a
 * binary message at once, a text after some work. The query of the URL gives the µs: `isolation.ts?micros=50000`.
 */
export default class Isolation extends Actor {
  override opened(): void {
    this.send(String(this.shard));
  }

  override received(message: Message): void {
    if (message.type === "text") work();
    this.send(message);
  }
}
