import { appendFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { Actor } from "../../../src/index.ts";
import type { Handled } from "../../../src/runtime/actor/actor.ts";

/**
 * Writes a row to a file in some of its handlers, as slowly as a database might. Its path is `/:file/:handler/:ms`:
 * `file` is the path of the file, `handler` names the one handler besides `closed` that writes, and `ms` is the time
 * for each row. The handler tells its peer when it has begun. A message makes the actor do what leads to the handler.
 */
export default class Recording extends Actor {
  #work: Promise<void> | undefined;

  constructor() {
    super();
    // Drops its own shuttingDown: its connection then closes while another handler is running.
    if (this.params["handler"] !== "shuttingDown") this.shuttingDown = Actor.prototype.shuttingDown;
  }

  override async opened(): Promise<void> {
    await this.#record("opened");
  }

  override async received(): Promise<void> {
    await this.#record("received");
    const { handler } = this.params;
    if (handler === "mailed") await this.tell(this.address, "a mail");
    if (handler === "timer") this.after(0, () => this.#record("timer"));
    // Starts the write here and doesn't await it. `closed` does.
    if (handler === "detached") this.#work = this.#record("detached");
  }

  override async mailed(): Promise<string> {
    await this.#record("mailed");
    return "recorded";
  }

  override shuttingDown(): Handled {
    return this.#record("shuttingDown");
  }

  override async closed(code: number): Promise<void> {
    await this.#work;
    await this.#write(`closed ${code}`);
  }

  async #record(handler: string): Promise<void> {
    if (handler !== this.params["handler"]) return;
    this.send(`${handler} ${this.address}`);
    await this.#write(handler);
  }

  async #write(row: string): Promise<void> {
    const { file = "", ms } = this.params;
    await delay(Number(ms));
    await appendFile(decodeURIComponent(file), `${row}\n`);
  }
}
