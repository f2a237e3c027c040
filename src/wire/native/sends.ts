/** The sends of a batch: their bytes lie in the arena, and their entries can still grow. Part of `Ring`. */
import {
  errors,
  KIND_BITS,
  kinds,
  MSG_DONTWAIT,
  MSG_MORE,
  MSG_NOSIGNAL,
  MSG_WAITALL,
  OP_SEND,
  SQE_SKIP_SUCCESS,
} from "./operations.ts";
import type { LentBuffer } from "./receive-buffers.ts";
import type { SendArena } from "./send-arena.ts";
import type { Slots } from "./slots.ts";
import type { SubmissionQueue } from "./submission-queue.ts";

export class Sends {
  readonly #queue: SubmissionQueue;
  readonly #slots: Slots;
  readonly #arena: SendArena;

  constructor(queue: SubmissionQueue, slots: Slots, arena: SendArena) {
    this.#queue = queue;
    this.#slots = slots;
    this.#arena = arena;
  }

  /**
   * Sends bytes at the end of the turn. Returns the place of the operation, for `extend` and `finish`; -1 if this turn
   * has no room for the bytes. A slot has one send in a batch.
   *
   * @param lent the buffer of the bytes, if they are to be sent from where they are
   */
  begin(slot: number, bytes: Buffer, lent?: LentBuffer): number {
    if (bytes.length > this.#arena.room || !this.#queue.hasRoom) return -1;
    const at = this.#write(slot);
    this.#queue.words[at + 7] = MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL;
    const place = lent === undefined ? this.#arena.place(bytes) : this.#arena.placeOfLent(bytes, lent);
    this.#setBytes(at, slot, place, bytes.length);
    return at;
  }

  /**
   * Adds bytes to the slot's send in the present batch: of two sends the second could succeed where the first failed.
   * Returns false if this turn has no room for the bytes.
   */
  extend(slot: number, at: number, bytes: Buffer): boolean {
    const length = this.#slots.sentLengths[slot] as number;
    if (length + bytes.length > this.#arena.room) return false;
    const place = this.#arena.placeBehind(this.#slots.sentPlaces[slot] as number, length, bytes);
    this.#setBytes(at, slot, place, length + bytes.length);
    return true;
  }

  /**
   * Tells that `shutDown` follows the slot's send in the present batch: one packet then carries the bytes and the end.
   */
  finish(at: number): void {
    (this.#queue.words[at + 7] as number) |= MSG_MORE;
  }

  #setBytes(at: number, slot: number, place: number, length: number): void {
    const address = this.#arena.mapping.address + place;
    const { words } = this.#queue;
    words[at + 4] = address;
    words[at + 5] = address / 2 ** 32;
    words[at + 6] = length;
    this.#slots.sentPlaces[slot] = place;
    this.#slots.sentLengths[slot] = length;
  }

  #write(slot: number): number {
    const { descriptors, generations } = this.#slots;
    const name = (slot << KIND_BITS) | kinds.send;
    const first = OP_SEND | (SQE_SKIP_SUCCESS << 8);
    return this.#queue.write(first, descriptors[slot] as number, name, generations[slot] as number);
  }

  /**
   * Tells the owner of a slot that the slot's newest send took only a part of its bytes.
   *
   * @param result number of bytes that were sent, or a negative error number
   */
  stopped(slot: number, result: number): void {
    if (this.#slots.retired[slot]) return;
    const sent = Math.max(0, result);
    const rest = this.#arena.bytesAt(
      (this.#slots.sentPlaces[slot] as number) + sent,
      (this.#slots.sentLengths[slot] as number) - sent,
    );
    this.#slots.owners[slot]?.sendStopped(rest, result < 0 ? -result : errors.EAGAIN);
  }
}
