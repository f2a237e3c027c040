import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Actor } from "../../../src/index.ts";

/** Counts of the hanging actors of this shard. */
const counts = { opened: 0, closed: 0, collected: 0 };
const actors = new FinalizationRegistry<void>(() => counts.collected++);

/** Keeps the promises of `/:where/kept` reachable for ever. */
const kept: (() => void)[] = [];

/**
 * On the path `/:where/:promise`, hangs for ever in the handler that `where` names, on a promise that is `kept`
 * reachable or `forgotten`. On `/none/none` it never hangs, and answers an ask with the counts after a garbage
 * collection.
 */
export default class Hanging extends Actor {
  override async opened(): Promise<void> {
    if (this.params["where"] !== "none") {
      counts.opened++;
      actors.register(this, undefined);
    }
    this.send(this.address);
    await this.#hang("opened");
  }

  override async received(): Promise<void> {
    const { where } = this.params;
    if (where === "timer") this.after(0, () => this.#hang("timer"));
    if (where === "mailed") await this.tell(this.address, "hang");
    await this.#hang("received");
  }

  override async mailed(): Promise<unknown> {
    await this.#hang("mailed");
    collectGarbage();
    // Finalization registries call back in later turns.
    await new Promise(setImmediate);
    return counts;
  }

  override async closed(): Promise<void> {
    if (this.params["where"] !== "none") counts.closed++;
    await this.#hang("closed");
  }

  async #hang(handler: string): Promise<void> {
    const { where, promise } = this.params;
    if (where !== handler) return;
    if (handler !== "closed") this.send(`in ${handler}`);
    await new Promise<void>((resolve) => {
      if (promise === "kept") kept.push(resolve);
    });
  }
}

function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect !== "function") throw new Error("this Node has no gc");
  collect();
}
