/**
 * The place of a feed in its stream: takes what the engine sends in order and without a hole, and reads what was lost
 * on the way. `FeedSubscriptions` has one.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { HistoryRead } from "../streams/engine.ts";
import type { Position } from "../streams/position.ts";
import type { StreamRecord } from "../streams/publication.ts";
import { recover } from "../streams/recovery.ts";
import { Recent } from "./joining/recent.ts";
import { UnstoredLog } from "./joining/unstored-log.ts";

export interface CursorOwner {
  /** Time before the history is read again after a read that failed, in ms. */
  readonly retryMs: number;
  /** The cursor has moved to the next publication. */
  took(record: StreamRecord): void;
  /**
   * A publication that isn't stored has its turn.
   *
   * @param after offset of the stored publication before
   */
  passed(record: StreamRecord, after: number): void;
  /** Publications that aren't stored are lost for all subscriptions, because too many waited for a check. */
  unstoredDropped(count: number): void;
  /** The cursor has moved over publications that are lost, or back, or to another epoch. */
  skipped(from: Position): void;
  /** A check has ended: the cursor has come from the top that the engine read. */
  checked(): void;
  /** Reads everything after an offset. */
  readSince(offset: number): Promise<HistoryRead>;
}

export class StreamCursor {
  readonly #owner: CursorOwner;
  readonly #thins: boolean;
  /** Epoch of the stream; "" until the engine has told the top. */
  #epoch = "";
  #offset = 0;
  /** Stored publications that have arrived since the check began; undefined while there is no check. */
  #held: Recent | undefined;
  #heldEpoch = "";
  /** Publications that aren't stored and have arrived since the check began. */
  readonly #unstored = new UnstoredLog();
  #nextUnstored = 0;
  /** Offset up to which the check reads, if nothing arrives meanwhile: everything after it arrives by itself. */
  #checkedTo = Number.POSITIVE_INFINITY;
  /** The last top that was told since the check began. */
  #told: Position | undefined;
  #closed = false;

  /** @param thins true if the newest publication makes older ones worthless: a hole does no harm then */
  constructor(owner: CursorOwner, thins: boolean) {
    this.#owner = owner;
    this.#thins = thins;
  }

  get epoch(): string {
    return this.#epoch;
  }

  /** Offset of the last publication that the cursor took. */
  get offset(): number {
    return this.#offset;
  }

  get position(): Position {
    return { epoch: this.#epoch, offset: this.#offset };
  }

  /** Takes the next publication that arrives. */
  published(record: StreamRecord, epoch: string): void {
    if (this.#held !== undefined) {
      this.#hold(this.#held, record, epoch);
    } else if (epoch !== this.#epoch) {
      this.#skipTo({ epoch, offset: record.offset - 1 });
      // A check may have begun.
      this.published(record, epoch);
    } else if (record.offset === this.#offset + 1 || (this.#thins && record.offset > this.#offset)) {
      this.#take(record);
    } else if (record.offset > this.#offset) {
      this.check();
      this.published(record, epoch);
    }
  }

  /** Takes a publication that isn't stored. During a check it waits for its turn among the stored ones. */
  passed(record: StreamRecord): void {
    if (this.#held === undefined) this.#owner.passed(record, this.#offset);
    else this.#unstored.add({ record, after: this.#held.all.at(-1)?.offset ?? this.#arrivedTo });
  }

  /** Offset of the newest stored publication that has arrived, or was lost, when a check began. */
  get #arrivedTo(): number {
    return Number.isFinite(this.#checkedTo) ? Math.max(this.#offset, this.#checkedTo) : this.#offset;
  }

  /** Compares the cursor with the top. */
  topTold(top: Position): void {
    if (this.#held !== undefined) this.#told = top;
    else if (top.epoch !== this.#epoch) this.#skipTo(top);
    // A lower top may have been read before what came since: only a new read can tell.
    else if (top.offset !== this.#offset) this.check(top.offset);
  }

  /**
   * Reads the publications after the cursor. Those that arrive meanwhile are taken after that.
   *
   * @param upTo offset of a publication after which each one arrives, or has arrived. Default: none is known
   */
  check(upTo = Number.POSITIVE_INFINITY): void {
    if (this.#held !== undefined || this.#closed) return;
    this.#held = new Recent();
    this.#checkedTo = upTo;
    void this.#check(this.#held);
  }

  close(): void {
    this.#closed = true;
    this.#held = undefined;
  }

  async #check(held: Recent): Promise<void> {
    do {
      held.clear();
      this.#told = undefined;
      const read = await this.#readUntilItSucceeds();
      if (read === undefined) return;
      if (!this.#isRepairedBy(read) && held.all.length === 0)
        await delay(this.#owner.retryMs, undefined, { ref: false });
      if (this.#closed) return;
      if (this.#isRepairedBy(read) || !this.#isFollowedBy(held)) this.#apply(read, held);
    } while (this.#heardOfAnotherEpoch(held));
    this.#held = undefined;
    this.#release(held);
    if (this.#told !== undefined) this.topTold(this.#told);
    if (this.#held === undefined) this.#owner.checked();
  }

  /** Takes the publications that have arrived during a check, in order. A hole begins the next check: the rest waits. */
  #release(held: Recent): void {
    for (const record of held.all) {
      if (this.#held === undefined) this.#passUpTo(record.offset);
      this.published(record, this.#epoch);
    }
    if (this.#held === undefined) this.#passUpTo();
  }

  /** Passes on the unstored publications before the stored one with an offset. Default: all. */
  #passUpTo(offset = Number.POSITIVE_INFINITY): void {
    const missed = this.#unstored.missedFrom(this.#nextUnstored);
    if (missed > 0) this.#owner.unstoredDropped(missed);
    this.#nextUnstored += missed;
    for (;;) {
      const publication = this.#unstored.at(this.#nextUnstored);
      if (publication === undefined) break;
      if (publication.after >= offset) return;
      this.#nextUnstored++;
      this.#owner.passed(publication.record, publication.after);
    }
    this.#unstored.clear();
  }

  /** True if a read has everything that the cursor misses. */
  #isRepairedBy(read: HistoryRead): boolean {
    return this.#thins || read.top.epoch !== this.#epoch || recover(this.position, read).recovered;
  }

  /** True if nothing was lost: the read was only faster than the publications, of which it has too few. */
  #isFollowedBy(held: Recent): boolean {
    return this.#heldEpoch === this.#epoch && held.all[0]?.offset === this.#offset + 1;
  }

  /** True if something of another epoch arrived during a check. It may be older than the read: another read tells. */
  #heardOfAnotherEpoch(held: Recent): boolean {
    const isForeign = held.all.length > 0 && this.#heldEpoch !== this.#epoch;
    return isForeign || (this.#told !== undefined && this.#told.epoch !== this.#epoch);
  }

  /** Returns undefined if the cursor has been closed. */
  async #readUntilItSucceeds(): Promise<HistoryRead | undefined> {
    while (!this.#closed) {
      const read = await this.#read();
      if (this.#closed) return undefined;
      if (read !== undefined) return read;
      await delay(this.#owner.retryMs, undefined, { ref: false });
    }
    return undefined;
  }

  /** Returns undefined if the engine can't be read now. */
  async #read(): Promise<HistoryRead | undefined> {
    try {
      return await this.#owner.readSince(this.#offset);
    } catch {
      return undefined;
    }
  }

  /** Takes the publications that were read and don't arrive by themselves: unstored ones come between the others. */
  #apply(read: HistoryRead, held: Recent): void {
    const { top } = read;
    const { recovered, records } = recover(this.position, read);
    const first = this.#heldEpoch === this.#epoch ? held.all[0] : undefined;
    const end = first === undefined ? this.#checkedTo : first.offset - 1;
    if (recovered) {
      this.#takeUpTo(records, end);
    } else if (this.#thins && top.epoch === this.#epoch && top.offset > this.#offset) {
      this.#takeUpTo(read.records, end);
      this.#offset = Math.max(this.#offset, Math.min(top.offset, end));
    } else {
      this.#skipTo(top);
    }
  }

  #takeUpTo(records: readonly StreamRecord[], end: number): void {
    for (const record of records) {
      if (record.offset > end) return;
      this.#passUpTo(record.offset);
      this.#take(record);
    }
  }

  /** Keeps what arrives during a check: the part without a hole that ends with the newest. */
  #hold(held: Recent, record: StreamRecord, epoch: string): void {
    if (epoch !== this.#heldEpoch) held.clear();
    this.#heldEpoch = epoch;
    held.add(record);
  }

  #take(record: StreamRecord): void {
    this.#offset = record.offset;
    this.#owner.took(record);
  }

  #skipTo({ epoch, offset }: Position): void {
    const from = this.position;
    // Unstored publications have no place in another part of the stream.
    this.#nextUnstored = this.#unstored.next;
    this.#unstored.clear();
    this.#epoch = epoch;
    this.#offset = offset;
    this.#owner.skipped(from);
  }
}
