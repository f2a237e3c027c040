import type { Message } from "../../../src/index.ts";
import Counting from "./counting.ts";

/** What this thread never frees. */
const leaked: Buffer[] = [];

/** A `Counting` actor that can be made to leak memory of its thread, which doesn't move along. */
export default class Growing extends Counting {
  override received(message: Message): void {
    super.received(message);
    if (message.byteLength === 1) leaked.push(Buffer.alloc(64 * 1024 * 1024, 1));
  }

  /** Blocks the thread for good. */
  override mailed(): void {
    for (;;);
  }
}

export function surveyed(): unknown {
  return { leaked: leaked.length };
}
