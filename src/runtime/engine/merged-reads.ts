/** Reads of streams for subscribers that resume, merged. `EngineClient` owns it. */
import { EndOfTick } from "../scheduling/end-of-tick.ts";
import type { HistoryRead } from "../streams/engine.ts";
import type { Position } from "../streams/position.ts";
import type { StreamRecord } from "../streams/publication.ts";

/** A subscriber that waits for its read. */
interface Reader {
  readonly offset: number;
  /** Position of the last publication that had arrived when the subscriber asked; undefined if the topic isn't wanted. */
  readonly arrived: Position | undefined;
  readonly read: PromiseWithResolvers<HistoryRead>;
}

/** The reads of one topic. */
interface TopicReads {
  /** Lowest offset of the read that is under way; undefined while none is. */
  lowest: number | undefined;
  /** Subscribers that get the read under way because they asked before it. */
  certain: Reader[];
  /** Subscribers that asked since, and get the read under way if it has everything that had arrived by then. */
  late: Reader[];
  /** Subscribers for the next read. */
  next: Reader[];
}

/** Reads everything after an offset. */
export type ReadSince = (topic: string, offset: number) => Promise<HistoryRead>;

/**
 * Merges the reads of a topic that are asked in one tick, and those that are asked while a read is under way. A merged
 * read begins at the lowest offset, and each subscriber gets the part after its own offset. For each topic, at most one
 * read is under way.
 */
export class MergedReads {
  readonly #readSince: ReadSince;
  readonly #endOfTick: EndOfTick;
  readonly #topics = new Map<string, TopicReads>();

  constructor(readSince: ReadSince, endOfTick: EndOfTick = new EndOfTick()) {
    this.#readSince = readSince;
    this.#endOfTick = endOfTick;
  }

  /**
   * Reads everything after `offset`.
   *
   * @param arrived position of the last publication of the topic that has arrived in this thread; undefined unless
   *   every later publication will arrive, too
   */
  read(topic: string, offset: number, arrived: Position | undefined): Promise<HistoryRead> {
    const reader: Reader = { offset, arrived, read: Promise.withResolvers<HistoryRead>() };
    const reads = this.#topics.get(topic);
    if (reads === undefined) {
      const first: TopicReads = { lowest: undefined, certain: [], late: [], next: [reader] };
      this.#topics.set(topic, first);
      this.#endOfTick.add(() => void this.#start(topic, first));
    } else if (reads.lowest !== undefined && offset >= reads.lowest && arrived !== undefined) {
      reads.late.push(reader);
    } else {
      reads.next.push(reader);
    }
    return reader.read.promise;
  }

  async #start(topic: string, reads: TopicReads): Promise<void> {
    while (reads.next.length > 0) {
      reads.certain = reads.next;
      reads.next = [];
      reads.lowest = reads.certain.reduce((lowest, { offset }) => Math.min(lowest, offset), Number.MAX_SAFE_INTEGER);
      try {
        settle(reads, await this.#readSince(topic, reads.lowest));
      } catch (error) {
        for (const { read } of [...reads.certain, ...reads.late]) read.reject(error);
      }
      reads.certain = [];
      reads.late = [];
      reads.lowest = undefined;
    }
    this.#topics.delete(topic);
  }
}

/** Hands out a read. Those for whom the read is too old wait for the next. */
function settle(reads: TopicReads, read: HistoryRead): void {
  const parts = new Map<number, HistoryRead>();
  const give = (reader: Reader): void => {
    let part = parts.get(reader.offset);
    if (part === undefined) {
      part = { top: read.top, records: after(read.records, reader.offset) };
      parts.set(reader.offset, part);
    }
    reader.read.resolve(part);
  };
  for (const reader of reads.certain) give(reader);
  for (const reader of reads.late) {
    if (covers(read.top, reader)) give(reader);
    else reads.next.push(reader);
  }
}

/** Whether a read has everything that had arrived, here or where the subscriber was before, when the subscriber asked. */
function covers(top: Position, { arrived, offset }: Reader): boolean {
  return arrived !== undefined && top.epoch === arrived.epoch && top.offset >= Math.max(arrived.offset, offset);
}

/** Returns the records after an offset. The records rise by offset. */
function after(records: readonly StreamRecord[], offset: number): readonly StreamRecord[] {
  let [low, high] = [0, records.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((records[middle] as StreamRecord).offset > offset) high = middle;
    else low = middle + 1;
  }
  return low === 0 ? records : records.slice(low);
}
