/** The actor of the scenarios with work on each message. */
import { Actor, type Message } from "../../../src/index.ts";
import { workOf } from "../work.ts";

const work = workOf(Number(new URL(import.meta.url).searchParams.get("micros") ?? 50));

/** Returns each message unchanged, after some work. The query of the URL gives the µs: `busy.ts?micros=50`. */
export default class Busy extends Actor {
  override received(message: Message): void {
    work();
    this.send(message);
  }
}
