import { Actor, type Message } from "../../../src/index.ts";

interface Session {
  /** One 32-bit integer, shared with the test: number of messages that may be handled so far. */
  readonly gate: SharedArrayBuffer;
}

/**
 * Handles as many messages as its gate allows, and answers each with its first ten characters. On "watch", subscribes
 * to "log".
 */
export default class Gated extends Actor<Session> {
  readonly #gate = new Int32Array(this.session.gate);
  #handled = 0;

  override async received(message: Message): Promise<void> {
    const start = message.text.slice(0, 10);
    if (start === "watch") {
      await this.subscribe("log");
      this.send("watching");
      return;
    }
    for (;;) {
      const allowed = Atomics.load(this.#gate, 0);
      if (this.#handled < allowed) break;
      await Atomics.waitAsync(this.#gate, 0, allowed).value;
    }
    this.#handled++;
    this.send(`handled ${start}`);
  }

  override closed(code: number, reason: string): void {
    this.publish("log", `closed ${this.#handled} ${code} ${reason}`);
  }
}
