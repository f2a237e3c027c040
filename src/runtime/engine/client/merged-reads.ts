/** Reads of streams for subscribers that resume, merged. `EngineClient` owns it. */
import { EndOfTick } from "../../scheduling/end-of-tick.ts";
import type { HistoryRead } from "../../streams/engine.ts";
import type { Position } from "../../streams/position.ts";
import type { StreamRecord } from "../../streams/publication.ts";

/** A subscriber that waits for its read. */
interface Reader {
  readonly offset: number;
  /**
   * Position of the last publication that had arrived when the subscriber asked; undefined if the topic isn't wanted.
   */
  readonly arrived: Position | undefined;
  readonly read: PromiseWithResolvers<HistoryRead>;
}

/** The reads of one topic. */
interface TopicReads {
  /** True from the first subscriber that waits until none does. */
  isReading: boolean;
  /** Lowest offset of the read that is under way; undefined while none is. */
  lowest: number | undefined;
  /** Subscribers that get the read under way because they asked before it. */
  certain: Reader[];
  /** Subscribers that asked since, and get the read under way if it has everything that had arrived by then. */
  late: Reader[];
  /** Subscribers for the next read. */
  next: Reader[];
  /** The last read, for subscribers that ask soon after it; undefined when its time is over. */
  last: SharedRead | undefined;
  /** Ends the time of `last`. */
  timer: NodeJS.Timeout | undefined;
}

/** Reads everything after an offset. */
export type ReadSince = (topic: string, offset: number) => Promise<HistoryRead>;

/** Time for which a read is given to further subscribers, in ms. */
const LAST_READ_MS = 250;
/** Bytes of reads that are kept for further subscribers. Beyond it a read is given to those who wait, and forgotten. */
const MAX_KEPT_BYTES = 16 * 1024 * 1024;

/**
 * Merges the reads of a topic that are asked in one tick, those that are asked while a read is under way, and those
 * that come within 250 ms and miss nothing by it. A merged read begins at the lowest offset, and each subscriber gets
 * the part after its own offset. For each topic, at most one read is under way. What was removed or has expired since a
 * read may still be in it.
 */
export class MergedReads {
  readonly #readSince: ReadSince;
  readonly #endOfTick: EndOfTick;
  readonly #topics = new Map<string, TopicReads>();
  #keptBytes = 0;

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
    let reads = this.#topics.get(topic);
    if (reads?.last?.serves(offset, arrived) === true) return Promise.resolve(reads.last.after(offset));
    if (reads === undefined) {
      reads = {
        isReading: false,
        lowest: undefined,
        certain: [],
        late: [],
        next: [],
        last: undefined,
        timer: undefined,
      };
      this.#topics.set(topic, reads);
    }
    const reader: Reader = { offset, arrived, read: Promise.withResolvers<HistoryRead>() };
    if (reads.lowest !== undefined && offset >= reads.lowest && arrived !== undefined) reads.late.push(reader);
    else reads.next.push(reader);
    if (!reads.isReading) {
      reads.isReading = true;
      this.#endOfTick.add(() => void this.#start(topic, reads));
    }
    return reader.read.promise;
  }

  /** Forgets the last read of a topic; without a topic, of all. Nobody who asks from now on gets it. */
  forget(topic?: string): void {
    for (const name of topic === undefined ? [...this.#topics.keys()] : [topic]) {
      const reads = this.#topics.get(name);
      if (reads !== undefined) this.#forget(name, reads);
    }
  }

  async #start(topic: string, reads: TopicReads): Promise<void> {
    while (reads.next.length > 0) {
      this.#forgetLast(reads);
      reads.certain = reads.next;
      reads.next = [];
      reads.lowest = reads.certain.reduce((lowest, { offset }) => Math.min(lowest, offset), Number.MAX_SAFE_INTEGER);
      try {
        const read = new SharedRead(await this.#readSince(topic, reads.lowest), reads.lowest);
        settle(reads, read);
        this.#keep(topic, reads, read);
      } catch (error) {
        for (const { read } of [...reads.certain, ...reads.late]) read.reject(error);
      }
      reads.certain = [];
      reads.late = [];
      reads.lowest = undefined;
    }
    reads.isReading = false;
    if (reads.last === undefined) this.#topics.delete(topic);
  }

  #keep(topic: string, reads: TopicReads, read: SharedRead): void {
    if (this.#keptBytes + read.bytes > MAX_KEPT_BYTES) return;
    this.#keptBytes += read.bytes;
    reads.last = read;
    reads.timer = setTimeout(() => this.#forget(topic, reads), LAST_READ_MS).unref();
  }

  #forget(topic: string, reads: TopicReads): void {
    this.#forgetLast(reads);
    if (!reads.isReading) this.#topics.delete(topic);
  }

  #forgetLast(reads: TopicReads): void {
    clearTimeout(reads.timer);
    this.#keptBytes -= reads.last?.bytes ?? 0;
    reads.last = undefined;
  }
}

/** A read that several subscribers get. Those with the same offset get the same object. */
class SharedRead {
  readonly #read: HistoryRead;
  readonly #lowest: number;
  readonly #parts = new Map<number, HistoryRead>();

  /** @param lowest offset after which the read begins */
  constructor(read: HistoryRead, lowest: number) {
    this.#read = read;
    this.#lowest = lowest;
  }

  /** Memory of the records, in bytes. All records of a read lie in one block. */
  get bytes(): number {
    return this.#read.records[0]?.frame.block.length ?? 0;
  }

  /**
   * True if the read has everything that follows an offset up to what had arrived when the subscriber asked. An offset
   * above the top was given by a newer stream than the read knows.
   */
  serves(offset: number, arrived: Position | undefined): boolean {
    const { epoch, offset: top } = this.#read.top;
    if (offset < this.#lowest || offset > top || arrived === undefined) return false;
    return arrived.epoch === epoch && arrived.offset <= top;
  }

  /** The part after an offset, which is no lower than that of the read. */
  after(offset: number): HistoryRead {
    let part = this.#parts.get(offset);
    if (part === undefined) {
      part = { top: this.#read.top, records: recordsAfter(this.#read.records, offset) };
      this.#parts.set(offset, part);
    }
    return part;
  }
}

/** Hands out a read. Those for whom the read is too old wait for the next. */
function settle(reads: TopicReads, shared: SharedRead): void {
  for (const { offset, read } of reads.certain) read.resolve(shared.after(offset));
  for (const reader of reads.late) {
    if (shared.serves(reader.offset, reader.arrived)) reader.read.resolve(shared.after(reader.offset));
    else reads.next.push(reader);
  }
}

/** Returns the records after an offset. The records rise by offset. */
function recordsAfter(records: readonly StreamRecord[], offset: number): readonly StreamRecord[] {
  let [low, high] = [0, records.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((records[middle] as StreamRecord).offset > offset) high = middle;
    else low = middle + 1;
  }
  return low === 0 ? records : records.slice(low);
}
