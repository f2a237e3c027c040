/** The actor of the scenario `deploy`: echoes, and moves. */
import { Actor, type Message } from "../../../src/index.ts";

export default class Echo extends Actor {
  static override moves = 1;

  override received(message: Message): void {
    this.send(message);
  }

  override suspended(): unknown {
    return undefined;
  }

  override resumed(): void {}
}
