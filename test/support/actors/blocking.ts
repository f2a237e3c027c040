import { existsSync, writeFileSync } from "node:fs";
import { Actor, type Message } from "../../../src/index.ts";

/** Told "block" and a path, it holds its whole shard until there is a file of that path; says so by a file with ".held" at its end. Echoes the rest. */
export default class Blocking extends Actor {
  override received(message: Message): void {
    const path = /^block (.+)$/.exec(message.text)?.[1];
    if (path !== undefined) {
      writeFileSync(`${path}.held`, "");
      const never = new Int32Array(new SharedArrayBuffer(4));
      while (!existsSync(path)) Atomics.wait(never, 0, 0, 5);
    }
    this.send(message);
  }
}
