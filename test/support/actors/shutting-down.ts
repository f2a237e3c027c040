import { setImmediate as turn } from "node:timers/promises";
import { Actor, type Message } from "../../../src/index.ts";

interface Session {
  /** One 32-bit integer, shared with the test: 0 while actors that were told to "hold" must wait. */
  readonly gate: SharedArrayBuffer;
}

/**
 * Tells its peer when the board begins to close, and some turns later that its own shutdown is done. On "fail", its
 * shutdown fails.
 */
export default class ShutdownNotice extends Actor<Session> {
  #failing = false;

  override async received(message: Message): Promise<void> {
    this.#failing ||= message.text === "fail";
    if (message.text === "hold") await Atomics.waitAsync(new Int32Array(this.session.gate), 0, 0).value;
    this.send(message);
  }

  override async shuttingDown(): Promise<void> {
    if (this.#failing) throw new Error("failed while shuttingDown");
    this.send("shuttingDown");
    for (let i = 0; i < 10; i++) await turn();
    this.send(`drained ${this.send("still open")}`);
  }
}
