/** The completion queue of a ring: what the kernel has completed is told to the owners of slots. Used by `Ring`. */
import type { Estate } from "./estate/estate.ts";
import { CQ_EVENTFD_DISABLED, CQE_BUFFER, CQE_MORE, KIND_BITS, KIND_MASK, kinds } from "./operations.ts";
import type { ReceiveBuffers } from "./receive-buffers.ts";
import { CQE_WORDS, type RingParts } from "./ring-setup.ts";
import type { Sends } from "./sends.ts";
import type { SlotOwner, Slots } from "./slots.ts";

const EMPTY = Buffer.alloc(0);

/** The parts of a ring that completions change. */
export interface CompletionTargets {
  readonly estate: Estate;
  readonly slots: Slots;
  readonly buffers: ReceiveBuffers;
  readonly sends: Sends;
}

export class CompletionQueue {
  readonly #parts: RingParts;
  readonly #estate: Estate;
  readonly #slots: Slots;
  readonly #buffers: ReceiveBuffers;
  readonly #sends: Sends;
  #head = 0;
  /** Head of the completions whose sends were looked at. */
  #sendsSeen = 0;

  constructor(parts: RingParts, { estate, slots, buffers, sends }: CompletionTargets) {
    this.#parts = parts;
    this.#estate = estate;
    this.#slots = slots;
    this.#buffers = buffers;
    this.#sends = sends;
  }

  /** Number of completions that `dispatch` would handle. */
  get length(): number {
    return (this.#tail() - this.#head) | 0;
  }

  #tail(): number {
    return Atomics.load(this.#parts.words, this.#parts.cqTail);
  }

  /** Lets each completion signal the eventfd, or not: while the ring has something to do, a signal would only cost. */
  setSignals(on: boolean): void {
    Atomics.store(this.#parts.words, this.#parts.cqFlags, on ? 0 : CQ_EVENTFD_DISABLED);
  }

  /**
   * Tells the owners of slots what the kernel has completed. Returns the number of completions. What an owner throws is
   * thrown on; the other completions are left for the next call.
   */
  dispatch(): number {
    const { words, cqHead, cqMask, cqEntries } = this.#parts;
    const tail = this.#tail();
    this.#dispatchSends(tail);
    let count = 0;
    while (this.#head !== tail) {
      const at = cqEntries + (this.#head & cqMask) * CQE_WORDS;
      const name = words[at] as number;
      let result = words[at + 2] as number;
      const flags = words[at + 3] as number;
      // Listed before the completion counts as seen: between the two the main thread finds the descriptor twice.
      if ((name & KIND_MASK) === kinds.accept && result >= 0) result = this.#estate.ownAccepted(result);
      this.#head = (this.#head + 1) | 0;
      Atomics.store(words, cqHead, this.#head);
      count++;
      this.#complete(name >>> KIND_BITS, name & KIND_MASK, result, flags);
    }
    return count;
  }

  /** Tells the owners of sends that stopped. */
  dispatchStoppedSends(): void {
    this.#dispatchSends(this.#tail());
  }

  /** Handles the completions of one slot, out of turn. */
  dispatchSlot(slot: number): void {
    const { words, cqMask, cqEntries } = this.#parts;
    const tail = this.#tail();
    this.#dispatchSends(tail);
    for (let head = this.#head; head !== tail; head = (head + 1) | 0) {
      const at = cqEntries + (head & cqMask) * CQE_WORDS;
      const name = words[at] as number;
      const kind = name & KIND_MASK;
      if (name >>> KIND_BITS !== slot || kind === kinds.send || kind === kinds.cancel) continue;
      let result = words[at + 2] as number;
      if (kind === kinds.accept && result >= 0) result = this.#estate.ownAccepted(result);
      // In its turn it means nothing any more.
      words[at] = kinds.cancel;
      this.#complete(slot, kind, result, words[at + 3] as number);
    }
  }

  /** Handles sends that stopped before all else: an owner that is told of received bytes may send more. */
  #dispatchSends(tail: number): void {
    const { words, cqMask, cqEntries } = this.#parts;
    for (; this.#sendsSeen !== tail; this.#sendsSeen = (this.#sendsSeen + 1) | 0) {
      const at = cqEntries + (this.#sendsSeen & cqMask) * CQE_WORDS;
      const name = words[at] as number;
      const slot = name >>> KIND_BITS;
      if ((name & KIND_MASK) !== kinds.send || this.#slots.generations[slot] !== words[at + 1]) continue;
      this.#sends.stopped(slot, words[at + 2] as number);
    }
  }

  #complete(slot: number, kind: number, result: number, flags: number): void {
    if (kind === kinds.send || kind === kinds.cancel) return;
    const more = (flags & CQE_MORE) !== 0;
    const { inFlight } = this.#slots;
    if (!more) inFlight[slot] = (inFlight[slot] as number) - 1;
    if (this.#slots.retired[slot]) this.#drop(slot, kind, result, flags);
    else if (kind === kinds.receive) this.#received(slot, result, flags);
    else if (kind === kinds.poll) this.#slots.owners[slot]?.writable();
    else this.#slots.owners[slot]?.accepted(result, more);
  }

  #received(slot: number, result: number, flags: number): void {
    const owner = this.#slots.owners[slot] as SlotOwner;
    const more = (flags & CQE_MORE) !== 0;
    if ((flags & CQE_BUFFER) === 0) {
      if (result === 0) owner.receivedBytes(EMPTY, more);
      else owner.receiveFailed(-result);
      return;
    }
    const id = flags >>> 16;
    const lent = this.#buffers.lend(id, result);
    lent?.hold();
    try {
      owner.receivedBytes(this.#buffers.take(id, result), more, lent);
    } finally {
      if (lent === undefined) this.#buffers.giveBack(id);
      else lent.release();
    }
  }

  /** Handles a completion of a slot that was given up. */
  #drop(slot: number, kind: number, result: number, flags: number): void {
    if (kind === kinds.receive && (flags & CQE_BUFFER) !== 0) this.#buffers.drop(flags >>> 16);
    if (kind === kinds.accept && result >= 0) this.#estate.close(result);
    if (this.#slots.inFlight[slot] === 0) this.#slots.releasing.push(slot);
  }
}
