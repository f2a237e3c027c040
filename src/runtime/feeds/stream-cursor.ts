/**
 * The place of a feed in its stream: takes what the engine sends in order and without a hole, and reads what was lost
 * on the way. `Feed` has one.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { HistoryRead } from "../streams/engine.ts";
import type { Position } from "../streams/position.ts";
import type { StreamRecord } from "../streams/publication.ts";
import { recover } from "../streams/recovery.ts";
import { Recent } from "./recent.ts";

export interface CursorOwner {
  /** Time before the history is read again after a read that failed, in ms. */
  readonly retryMs: number;
  /** The cursor has moved to the next publication. */
  took(record: StreamRecord): void;
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
  /** Publications that have arrived since the check began; undefined while there is no check. */
  #held: Recent | undefined;
  #heldEpoch = "";
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

  /** Compares the cursor with the top. */
  topTold(top: Position): void {
    if (this.#held !== undefined) this.#told = top;
    else if (top.epoch !== this.#epoch) this.#skipTo(top);
    // A lower top may have been read before what came since: only a new read can tell.
    else if (top.offset !== this.#offset) this.check();
  }

  /** Reads what comes after the cursor. What arrives meanwhile is taken after that. */
  check(): void {
    if (this.#held !== undefined || this.#closed) return;
    this.#held = new Recent();
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
      if (this.#isRepairedBy(read) || !this.#isFollowedBy(held)) this.#apply(read);
    } while (this.#heardOfAnotherEpoch(held));
    this.#held = undefined;
    for (const record of held.all) this.published(record, this.#epoch);
    if (this.#told !== undefined) this.topTold(this.#told);
    if (this.#held === undefined) this.#owner.checked();
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

  #apply(read: HistoryRead): void {
    const { top } = read;
    const { recovered, records } = recover(this.position, read);
    if (recovered) {
      for (const record of records) this.#take(record);
    } else if (this.#thins && top.epoch === this.#epoch && top.offset > this.#offset) {
      for (const record of read.records) this.#take(record);
      this.#offset = top.offset;
    } else {
      this.#skipTo(top);
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
    this.#epoch = epoch;
    this.#offset = offset;
    this.#owner.skipped(from);
  }
}
