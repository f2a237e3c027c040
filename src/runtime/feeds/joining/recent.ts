/** The newest publications of a stream, without a gap. A feed remembers them for subscriptions that are joining. */
import type { StreamRecord } from "../../streams/publication.ts";

const MAX_RECORDS = 1_024;
const MAX_BYTES = 1024 * 1024;

/**
 * Publications that follow each other, the newest ones, bounded in number and bytes. One always fits, however large.
 */
export class Recent {
  #records: StreamRecord[] = [];
  #bytes = 0;

  /** All publications that are here, in order. */
  get all(): readonly StreamRecord[] {
    return this.#records;
  }

  /** Adds a publication. Forgets the earlier ones if it doesn't follow them. */
  add(record: StreamRecord): void {
    const bytes = record.frame.end - record.frame.start;
    const last = this.#records.at(-1);
    const follows = last === undefined || record.offset === last.offset + 1;
    // At the bound all go at once: a reader of the oldest needs the history then, and finding the oldest costs nothing.
    if (!follows || this.#records.length >= MAX_RECORDS || this.#bytes + bytes > MAX_BYTES) this.clear();
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
