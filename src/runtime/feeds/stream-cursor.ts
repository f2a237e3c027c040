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

/** Place of an unstored publication that arrived during a check before all stored ones. */
const BEFORE_ALL_HELD = Number.POSITIVE_INFINITY;

export class StreamCursor {
  readonly #owner: CursorOwner;
  readonly #thins: boolean;
  /** Epoch of the stream; "" until the engine has told the top. */
  #epoch = "";
  #offset = 0;
  /** Stored publications that have arrived since the check began; undefined while there is no check. */
  #held: Recent | undefined;
  #heldEpoch = "";
  #isReading = false;
  /** True if publications may have been lost before those that are held: the top is to be told. */
  #isInterrupted = false;
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
    // A cursor that is closed can't check a hole.
    if (this.#closed) return;
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
    else this.#keep(record, this.#held.all.at(-1)?.offset ?? BEFORE_ALL_HELD);
  }

  #keep(record: StreamRecord, after: number): void {
    this.#unstored.add({ record, after });
    const missed = this.#unstored.missedFrom(this.#nextUnstored);
    if (missed === 0) return;
    this.#nextUnstored += missed;
    this.#owner.unstoredDropped(missed);
  }

  /** Publications may be lost before those that arrive from now on. These wait until the top is told. */
  interrupted(): void {
    if (this.#closed) return;
    this.#isInterrupted = true;
    this.#told = undefined;
    this.#held ??= new Recent();
  }

  /** Compares the cursor with the top. */
  topTold(top: Position): void {
    if (this.#isReading) {
      this.#told = top;
      this.#isInterrupted = false;
    } else if (this.#held !== undefined) this.#endInterruption(top, this.#held);
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
    this.#begin(new Recent(), upTo);
  }

  #begin(held: Recent, upTo: number): void {
    this.#held = held;
    this.#checkedTo = upTo;
    void this.#check(held);
  }

  #endInterruption(top: Position, held: Recent): void {
    this.#isInterrupted = false;
    const isSame = top.epoch === this.#epoch;
    if (isSame && top.offset !== this.#offset && !this.#thins && !this.#isFollowedBy(held)) {
      this.#begin(held, top.offset);
      return;
    }
    this.#held = undefined;
    if (!isSame) this.#skipTo(top);
    this.#release(held);
    if (this.#held === undefined && isSame) this.topTold(top);
    if (this.#held === undefined) this.#owner.checked();
  }

  close(): void {
    this.#closed = true;
    this.#held = undefined;
  }

  async #check(held: Recent): Promise<void> {
    this.#isReading = true;
    for (;;) {
      this.#told = undefined;
      const read = await this.#readUntilItSucceeds();
      if (read === undefined) return;
      if (!this.#isRepairedBy(read) && held.all.length === 0)
        await delay(this.#owner.retryMs, undefined, { ref: false });
      if (this.#closed) return;
      if (this.#isRepairedBy(read) || !this.#isFollowedBy(held)) this.#apply(read, held);
      if (!this.#heardOfAnotherEpoch(held)) break;
      held.clear();
    }
    this.#isReading = false;
    if (this.#isInterrupted) return;
    this.#held = undefined;
    this.#release(held);
    if (this.#told !== undefined) this.topTold(this.#told);
    if (this.#held === undefined) this.#owner.checked();
  }

  /**
   * Takes the publications that have arrived during a check, in order. A hole begins the next check: the rest waits.
   */
  #release(held: Recent): void {
    this.#passEarliest();
    for (const record of this.#heldEpoch === this.#epoch ? held.all : []) {
      if (this.#held === undefined) this.#passUpTo(record.offset);
      this.published(record, this.#epoch);
    }
    if (this.#held === undefined) this.#passUpTo();
  }

  /** Passes on the unstored publications that arrived before all stored ones. The cursor has come to their place. */
  #passEarliest(): void {
    for (;;) {
      const publication = this.#unstored.at(this.#nextUnstored);
      if (publication?.after !== BEFORE_ALL_HELD) return;
      this.#nextUnstored++;
      this.#owner.passed(publication.record, this.#offset);
    }
  }

  /** Passes on the unstored publications before the stored one with an offset. Default: all. */
  #passUpTo(offset = Number.POSITIVE_INFINITY): void {
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
    this.#passEarliest();
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
