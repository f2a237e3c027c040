import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Actor, type Message } from "../../../src/index.ts";

/** On "measure", answers with its shard and the live bytes of that thread. Echoes everything else. */
export default class Measured extends Actor {
  override received(message: Message): void {
    if (message.text !== "measure") {
      this.send(message);
      return;
    }
    setFlagsFromString("--expose-gc");
    const collect: unknown = runInNewContext("gc");
    if (typeof collect !== "function") throw new Error("this Node has no gc");
    collect();
    collect();
    const { used_heap_size: used, external_memory: external } = getHeapStatistics();
    this.send(JSON.stringify({ shard: this.shard, bytes: used + external }));
  }
}
