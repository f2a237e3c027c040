import { existsSync, writeFileSync } from "node:fs";
import { Actor, type Message } from "../../../src/index.ts";

/**
 * On "block" and a path, blocks its whole shard until a file of that path exists, and shows that it blocks by a file
 * with ".held" appended to the path. Echoes everything else.
 */
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
