/** The submission queue of a ring: entries are written here, and handed to the kernel as one batch. Used by `Ring`. */
import { WAIT_ARGUMENT_BYTES } from "./enter-wait.ts";
import { systemError } from "./libc.ts";
import { IO_URING_ENTER, type RingParts, SQE_WORDS, systemCall } from "./ring-setup.ts";

const ENTER_GETEVENTS = 1n;
const ENTER_EXT_ARG = 1n << 3n;
const SQ_CQ_OVERFLOW = 1 << 1;
const SQ_TASKRUN = 1 << 2;
/** Number of attempts to hand one batch to the kernel. Each takes a part of it, unless the system has no memory. */
const MAX_TRIES = 100;

export class SubmissionQueue {
  /** Entries, 16 words each. `write` gives the index of an entry's first word. */
  readonly words: Int32Array;
  readonly #parts: RingParts;
  readonly #call = systemCall();
  readonly #descriptor: bigint;
  readonly #wanted: () => void;
  readonly #wait: bigint;
  #tail = 0;
  /** Tail at the end of the last batch. */
  #submitted = 0;
  /** Operations for which the queue had no room. They come first in the next batch. */
  #waiting: (() => void)[] = [];
  /** Number of the batch that is being written. */
  batch = 1;

  /**
   * @param wanted called when the first entry of a batch is written
   * @param wait address of what `writeWait` has written
   */
  constructor(parts: RingParts, wanted: () => void, wait: bigint) {
    this.#parts = parts;
    this.words = parts.sqes;
    this.#descriptor = BigInt(parts.descriptor);
    this.#wanted = wanted;
    this.#wait = wait;
  }

  /** True if the present batch takes one more entry. */
  get hasRoom(): boolean {
    return this.#written() < this.#parts.sqEntries;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0 && this.#written() === 0;
  }

  /** True if completions wait in the kernel because their queue is full. */
  get isOverflown(): boolean {
    return (this.#flags() & SQ_CQ_OVERFLOW) !== 0;
  }

  /**
   * True if completions wait for the kernel to be entered, or did when the kernel set this sign: see `completeWaiting`.
   */
  get hasCompletions(): boolean {
    return (this.#flags() & SQ_TASKRUN) !== 0;
  }

  /** Calls `write` now, or in the next batch if this one is full. */
  queue(write: () => void): void {
    if (this.hasRoom) write();
    else this.#waiting.push(write);
  }

  /** Writes an entry, with zeros where nothing is given. Returns its place in `words`. */
  write(first: number, descriptor: number, name: number, generation: number): number {
    const at = (this.#tail & (this.#parts.sqEntries - 1)) * SQE_WORDS;
    const { words } = this;
    // Nobody ever writes the other words (2, 3 and 11 to 15), so these stay zeros.
    words[at] = first;
    words[at + 1] = descriptor;
    words[at + 4] = 0;
    words[at + 5] = 0;
    words[at + 6] = 0;
    words[at + 7] = 0;
    words[at + 8] = name;
    words[at + 9] = generation;
    words[at + 10] = 0;
    if (this.#tail === this.#submitted) this.#wanted();
    this.#tail = (this.#tail + 1) | 0;
    return at;
  }

  /**
   * Hands the batch to the kernel. Returns false if there was no batch. Throws `ERR_SYSTEM_CALL` when the kernel takes
   * no batch any more.
   *
   * @param completes false if the kernel shall complete nothing of earlier batches
   * @param gather number of completions to wait for, also without a batch, as long as the wait lasts at most
   */
  submit(completes = true, gather = 0): boolean {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const write of waiting) this.queue(write);
    let left = this.#written();
    if (left === 0) {
      if (gather > 0) this.#enterAndWait(0, gather);
      else if (completes && this.hasCompletions) this.complete();
      return false;
    }
    Atomics.store(this.#parts.words, this.#parts.sqTail, this.#tail);
    for (let tries = 0; left > 0; tries++) {
      if (tries === MAX_TRIES) throw systemError("io_uring_enter");
      if (gather > 0 && tries === 0) this.#enterAndWait(left, gather);
      else this.#enter(left, completes);
      left = this.#unsubmitted();
    }
    this.#submitted = this.#tail;
    this.batch++;
    return true;
  }

  /**
   * Lets the kernel complete what waits for it to be entered. Returns false if more waits.
   *
   * The kernel adds a completion to its list, then sets the sign. If this thread takes the completion between the two,
   * the sign stays without a completion, and entering the kernel doesn't remove it: so this method removes it first.
   */
  completeWaiting(): boolean {
    if (!this.hasCompletions) return true;
    Atomics.and(this.#parts.words, this.#parts.sqFlags, ~SQ_TASKRUN);
    this.complete();
    return !this.hasCompletions;
  }

  /** Lets the kernel complete what it can, without a batch. */
  complete(): void {
    this.#enter(0, true);
  }

  // Methods, because V8 calls its runtime for each use of a private getter: 11 ns, where a method takes 0.5 ns.

  /** Number of entries in the present batch: the kernel has taken all entries of the batches before. */
  #written(): number {
    return (this.#tail - this.#submitted) | 0;
  }

  #unsubmitted(): number {
    return (this.#tail - Atomics.load(this.#parts.words, this.#parts.sqHead)) | 0;
  }

  #flags(): number {
    return Atomics.load(this.#parts.words, this.#parts.sqFlags);
  }

  #enter(entries: number, completes: boolean): void {
    const flags = completes ? ENTER_GETEVENTS : 0n;
    this.#call(IO_URING_ENTER, this.#descriptor, BigInt(entries), 0n, flags, 0n, 0n);
  }

  #enterAndWait(entries: number, gather: number): void {
    const flags = ENTER_GETEVENTS | ENTER_EXT_ARG;
    const size = BigInt(WAIT_ARGUMENT_BYTES);
    this.#call(IO_URING_ENTER, this.#descriptor, BigInt(entries), BigInt(gather), flags, this.#wait, size);
  }
}
