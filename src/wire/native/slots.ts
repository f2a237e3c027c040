/** The slots of a ring: one for each descriptor, with the number of operations that the kernel works on. */

import type { LentBuffer } from "./receive-buffers.ts";

/** The owner of a slot, told of completions. Methods are called from `Ring.turn` alone. */
export interface SlotOwner {
  /**
   * Bytes arrived, valid until the call returns. Empty: the peer ended its direction.
   *
   * @param more false if the receive is over
   * @param lent the buffer of the bytes, from its beginning; undefined if it can't be lent
   */
  receivedBytes(bytes: Buffer, more: boolean, lent?: LentBuffer): void;
  /** A receive failed, with an error number. The receive is over. */
  receiveFailed(error: number): void;
  /**
   * A send took only the first bytes, or none, with an error number.
   *
   * @param rest the other bytes, valid until the call returns
   */
  sendStopped(rest: Buffer, error: number): void;
  /** The poll for room in the socket's buffer is over. */
  writable(): void;
  /**
   * A connection was accepted.
   *
   * @param descriptor the connection's descriptor, or a negative error number
   * @param more false if the accept is over
   */
  accepted(descriptor: number, more: boolean): void;
  /** The slot is free again, and its descriptor is closed. The last call. */
  released(): void;
}

/** Arrays instead of objects: a slot is looked up for each completion. The index is the number of the slot. */
export class Slots {
  readonly owners: (SlotOwner | undefined)[] = [];
  readonly descriptors: number[] = [];
  /** Generations, which completions carry. A completion of an earlier generation has no owner any more. */
  readonly generations: number[] = [];
  /** Numbers of operations without their last completion. Sends don't count: they never outlast `io_uring_enter`. */
  readonly inFlight: number[] = [];
  /** True for a slot that was given up and isn't free yet. */
  readonly retired: boolean[] = [];
  /** Places in the arena, and lengths, of the newest sends. */
  readonly sentPlaces: number[] = [];
  readonly sentLengths: number[] = [];
  /**
   * Retired slots without an operation in flight. They are closed after the next batch, which may still name their
   * descriptors: a descriptor that was closed before could be another connection's by then.
   */
  releasing: number[] = [];
  readonly #free: number[] = [];
  /** Number of slots that were taken so far. */
  taken = 0;

  /** Number of slots in use. */
  get count(): number {
    return this.owners.length - this.#free.length;
  }

  take(descriptor: number, owner: SlotOwner): number {
    const slot = this.#free.pop() ?? this.owners.length;
    if (slot === this.owners.length) {
      this.generations.push(0);
      this.inFlight.push(0);
      this.sentPlaces.push(0);
      this.sentLengths.push(0);
    }
    this.taken++;
    this.owners[slot] = owner;
    this.descriptors[slot] = descriptor;
    this.retired[slot] = false;
    return slot;
  }

  /** Returns the retired slots that may be closed now, and forgets them. */
  takeReleasing(): number[] {
    const slots = this.releasing;
    this.releasing = [];
    return slots;
  }

  free(slot: number): void {
    this.owners[slot] = undefined;
    this.generations[slot] = ((this.generations[slot] as number) + 1) | 0;
    this.#free.push(slot);
  }
}
