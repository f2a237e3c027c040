import { Actor, type Message } from "../../../src/index.ts";

/** Connections of this shard. */
const open = new Set<Surveying>();

/**
 * Reports what its peer sends in JSON, as often as the peer says, or tells its address. Answers surveys with what the
 * question asks for.
 */
export default class Surveying extends Actor {
  override opened(): void {
    open.add(this);
  }

  override closed(): void {
    open.delete(this);
  }

  override received(message: Message): void {
    const { do: order, report, times = 1, by = "actor" } = JSON.parse(message.text);
    if (order === "address") {
      this.send(this.address);
      return;
    }
    let taken = 0;
    for (let i = 0; i < times; i++) {
      const value = { report, i };
      if (by === "actor" ? this.report(value) : Actor.report(value)) taken++;
      // The board gets the value as it was when it was reported.
      value.i = -1;
    }
    this.send(String(taken));
  }
}

export function surveyed(question: unknown): unknown {
  switch (question) {
    case "connections":
      return open.size;
    case "throw":
      throw Object.assign(new RangeError("surveyed threw"), { code: "E_SURVEY" });
    case "reject":
      return Promise.reject(new TypeError("surveyed rejected"));
    case "never":
      return new Promise(() => {});
    case "function":
      return () => {};
    case "exit":
      return process.exit();
    case "large":
      return new Uint8Array(1024 * 1024);
    case "rather large":
      return new Uint8Array(900 * 1024);
    default:
      return Promise.resolve({ echo: question });
  }
}
