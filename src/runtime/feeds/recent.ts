/** The newest publications of a feed, for subscriptions that are joining. `Feed` has one. */
import type { StreamRecord } from "../streams/publication.ts";

const MAX_RECORDS = 1_024;
const MAX_BYTES = 1024 * 1024;

/** Publications without a gap, the newest ones, bounded in number and bytes. */
export class Recent {
  #records: StreamRecord[] = [];
  #bytes = 0;

  /** Adds the publication that follows the last one. */
  add(record: StreamRecord): void {
    const bytes = record.frame.end - record.frame.start;
    // All go at once: whoever needed one of them reads the history, and finding the oldest costs nothing then.
    if (this.#records.length >= MAX_RECORDS || this.#bytes + bytes > MAX_BYTES) this.clear();
    this.#records.push(record);
    this.#bytes += bytes;
  }

  clear(): void {
    this.#records = [];
    this.#bytes = 0;
  }

  /** Returns all publications after an offset up to the newest; undefined if they aren't all here. */
  since(offset: number): readonly StreamRecord[] | undefined {
    const first = this.#records[0]?.offset;
    if (first === undefined || first > offset + 1) return undefined;
    return this.#records.slice(offset + 1 - first);
  }
}
