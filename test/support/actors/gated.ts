import { Actor, type Message } from "../../../src/index.ts";

interface Session {
  /** One 32-bit integer, shared with the test: how many messages may be handled so far. */
  readonly gate: SharedArrayBuffer;
}

/** Handles as many messages as its gate allows, each answered with its first ten characters. Told to "watch", it subscribes "log". */
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
