import { appendFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { Actor } from "../../../src/index.ts";

/**
 * Writes a row to a file in some of its handlers, as slowly as a database may: use it on the path `/:file/:handler/:ms`, where `file` is the path
 * of the file, `handler` names the one handler besides `closed` that writes, and `ms` is the time that each row takes. The handler says to its
 * peer that it has begun. A message makes the actor do what leads to the handler.
 */
export default class Recording extends Actor {
  #work: Promise<void> | undefined;

  constructor() {
    super();
    // Without a shuttingDown of its own an actor isn't asked to drain: its connection closes while a handler is under way.
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
    // Begun here and left alone, and awaited by `closed`.
    if (handler === "detached") this.#work = this.#record("detached");
  }

  override async mailed(): Promise<string> {
    await this.#record("mailed");
    return "recorded";
  }

  override shuttingDown(): void | Promise<void> {
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
